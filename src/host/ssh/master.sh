# Run ssh, "$@", for as long as our input stays open, and leave nothing behind in the folder $1.
#
# The input is a pipe from the harness, which closes with it, however it ended: `kill -9` too. ssh itself, told to run no
# program, reads no input and would stay.
folder=$1
shift
exec 3<&0
"$@" </dev/null >/dev/null 3<&- &
master=$!
{
  read -r _
  kill "$master"
} <&3 >/dev/null 2>&1 &
leash=$!
exec 3<&-
wait "$master"
status=$?
kill "$leash" 2>/dev/null
rm -rf -- "$folder"
exit "$status"
