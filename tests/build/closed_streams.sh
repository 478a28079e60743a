# SPDX-License-Identifier: MIT
# A caller that closed the standard streams finds nothing of what was said in any file.
pipeline <<'END'
step a {
    out "a"
    run "echo printed; echo made > a"
}
END
"$PAWL" build <&- >&- 2>&-
! grep -rq 'no earlier result' .pawl/lock .pawl/state .pawl/graph || fail "what was said lies in a file of the workspace"
same "$(tr -d '0-9\n' <.pawl/lock)" ""
build
expect up_to_date=1
