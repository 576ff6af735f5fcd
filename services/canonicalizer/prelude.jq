# Functions every mapping may use, beside loops, x12_ids and x12_when.

# jq's own, bounded: what a message says must not decide what it costs. A million
# digits take arithmetic a second, and a range of 1e300 never ends.
def tonumber: as_number;
def fromjson: from_json;
def range($from; $upto; $by):
  if $by != 0 and ($upto - $from) / $by > 100000 then error("range: more than 100000 numbers") else _range($from; $upto; $by) end;
def range($from; $upto): range($from; $upto; 1);
def range($upto): range(0; $upto; 1);

# Segments of an X12 set, by id.
def segs($id): [.[] | select(.id == $id)];
def seg($id): first(.[] | select(.id == $id)) // null;
def seg($id; $qualifier): first(.[] | select(.id == $id and .e[1] == $qualifier)) // null;

# Element $n of the first segment $id, by its number in the standard; null when
# there is none.
def el($id; $n): seg($id) | if . == null then null else .e[$n] end;

# Segments of an IDoc by id, at any depth of a tree or a segment, in order.
def under($id): [.. | objects | select(.id? == $id and (.segments? | type) == "array")];

# An error that rejects one line under a code of its own.
def reject($code; $reason): error({code: $code, reason: $reason});

# Maps rows one by one: an error rejects its row, the others go on. f sees
# {row, index} with index from 1.
def each(rows; f):
  [ foreach rows as $row (0; . + 1; {row: $row, index: .}
      | . as $in
      | try f
        catch { kind: "error",
                at: ($in.row | if type == "object" then (.pos // .row) elif type == "array" then .[0].pos? else null end),
                code: (if type == "object" then .code else null end),
                reason: (if type == "object" then .reason else tostring end) }) ];

# A key=value;key=value text as an object.
def table: (. // "") | split(";") | map(select(test("\\S")) | split("=") | {key: .[0], value: (.[1:] | join("="))}) | from_entries;

# Text of a yes/no column.
def yes: (. // "") | ascii_downcase | IN("true", "yes", "y", "1");

# An object without what is null, an empty text or an empty list.
def filled: with_entries(select(.value != null and .value != "" and .value != []));

# Lines of a document are told apart by their line; where a sender repeats it, by which
# one it is.
def apart:
  def key: if .document then .document | tojson else null end;
  if ([.[] | key | select(. != null)] | length == (unique | length)) then .
  else to_entries | group_by(.value | key) | [.[] | if .[0].value.document == null then .[]
      else to_entries[] | .key as $n | .value | if $n > 0 then .value.document.line = "\(.value.document.line // "")#\($n + 1)" else . end end]
    | sort_by(.key) | map(.value) end;
