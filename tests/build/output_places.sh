# SPDX-License-Identifier: MIT
# Outputs that overlap are errors; below a folder that is an input of another step they are not.
printf 'step a { out "d/" run "true" }\nstep b { out "d/x" run "true" }\n' >one.pipeline
exits 2 build -f one.pipeline
printf 'step a { out "x" run "true" }\nstep b { out "./x" run "true" }\n' >two.pipeline
exits 2 build -f two.pipeline
complains '*two*a*b*'
printf 'step a { out "x" in "x" run "true" }\n' >three.pipeline
exits 2 build -f three.pipeline
printf 'step a { in b.o out o = "x" run "true" }\nstep b { in a.o out o = "y" run "true" }\n' >four.pipeline
exits 2 build -f four.pipeline
printf 'step a { out "s3://bucket/x" run "true" }\n' >five.pipeline
exits 2 build -f five.pipeline
printf 'step a { out "/etc/pawl" run "true" }\n' >six.pipeline
exits 2 build -f six.pipeline
printf 'step a { out "../pawl" run "true" }\n' >seven.pipeline
exits 2 build -f seven.pipeline
printf 'step a { out ".pawl/x" run "true" }\n' >eight.pipeline
exits 2 build -f eight.pipeline
printf 'step a for i in [1, 2] { out "same" run "true" }\n' >nine.pipeline
exits 2 build -f nine.pipeline
