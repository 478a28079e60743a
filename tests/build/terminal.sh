# SPDX-License-Identifier: MIT
# On a terminal: live lines that are gone afterwards, permanent lines that stay, colours; none of it into a pipe.
command -v python3 >/dev/null || skip "needs python3"
pipeline <<'END'
step slow for i in [1, 2, 3] {
    out o = "slow-{{i}}"
    run "sleep 0.5; echo printed by {{i}}; touch {{o}}"
}
step bad {
    after slow
    out o = "bad"
    run "echo it went wrong; exit 3"
}
END
cat >"$T/screen.py" <<'END'
# Runs pawl on a pseudo-terminal of 60 columns and 10 lines, and keeps a screen: what a person would see at the end.
import fcntl, os, pty, re, struct, sys, termios
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 10, 60, 0, 0))
data = b""
while True:
    try:
        part = os.read(fd, 65536)
    except OSError:
        break
    if not part:
        break
    data += part
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
text = data.decode()
lines, row, column, live = [""], 0, 0, 0
for piece in re.findall(r"\x1b\[[0-9;]*[A-Za-z]|\x1b.|.|\n", text, re.S):
    if piece == "\n":
        row += 1
        while len(lines) <= row:
            lines.append("")
    elif piece == "\r":
        column = 0
    elif piece.startswith("\x1b"):
        kind, n = piece[-1], int(re.sub(r"[^0-9].*", "", piece[2:-1]) or 1)
        if kind == "A":
            assert n <= 10, "more lines erased than the screen has"
            row, live = row - n, live + 1
            assert row >= 0, "above the top"
            assert max(map(len, lines[row:])) <= 60, "a live line is wider than the screen"
        elif kind == "J":
            lines = lines[:row] + [""]
            column = 0
        elif kind == "K":
            lines[row] = lines[row][:column]
        elif kind not in "mhl":
            sys.exit("unknown sequence %r" % piece)
    else:
        lines[row] = lines[row][:column] + piece + lines[row][column + 1:]
        column += 1
    if piece == "\n":
        column = 0
print("\n".join(lines))
print("live", live, "code", code, "color", "\x1b[3" in text or "\x1b[1;3" in text)
END
TERM=xterm python3 "$T/screen.py" "$PAWL" build -k 0 -j2 >"$T/out" 2>"$T/errors" || fail "no screen"
cat "$T/out"
says "*ran*slow?i=1?*printed by*failed*bad*it went wrong*"
same "$(grep -c 'running,' "$T/out" || :)" 0
same "$(grep -c '^ran  *slow' "$T/out")" 3
same "$(grep -c '^printed by' "$T/out")" 3
same "$(tail -1 "$T/out" | sed 's/live [1-9][0-9]*/live some/')" "live some code 1 color True"
NO_COLOR=1 TERM=xterm python3 "$T/screen.py" "$PAWL" build -k 0 >"$T/out" 2>"$T/errors" || fail "no screen"
same "$(tail -1 "$T/out" | grep -c 'color False')" 1
TERM=xterm python3 "$T/screen.py" "$PAWL" build --progress=plain -k 0 >"$T/out" 2>"$T/errors" || fail "no screen"
says "*live 0 *"
exits 1 pawl build
! grep -q "$(printf '\033')" "$T/out" || fail "escapes into a pipe"
