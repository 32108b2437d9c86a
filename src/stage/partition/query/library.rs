//! Functions of jq 1.6 that are made of others, in its own language.
//!
//! Each is what jq's manual says it is, checked against jq 1.6 by the tests. Names that begin with `_` are functions of
//! [`super::functions`] for these alone.

const DEFINITIONS: &[(&str, usize, &str)] = &[
    ("map", 1, "def map(f): [.[] | f];"),
    ("map_values", 1, "def map_values(f): .[] |= f;"),
    ("select", 1, "def select(f): if f then . else empty end;"),
    ("recurse", 1, "def recurse(f): def step: ., (f | step); step;"),
    ("recurse", 2, "def recurse(f; c): def step: ., (f | select(c) | step); step;"),
    ("add", 0, "def add: reduce .[] as $x (null; . + $x);"),
    ("del", 1, "def del(f): delpaths([path(f)]);"),
    ("to_entries", 0, "def to_entries: [keys_unsorted[] as $k | {key: $k, value: .[$k]}];"),
    (
        "from_entries",
        0,
        "def from_entries: reduce (.[] | {(.key // .Key // .name // .Name): (if has(\"value\") then .value else .Value end)})
           as $field ({}; . + $field);",
    ),
    ("with_entries", 1, "def with_entries(f): to_entries | map(f) | from_entries;"),
    ("reverse", 0, "def reverse: [.[length - 1 - range(0; length)]];"),
    ("index", 1, "def index($x): indices($x) | .[0];"),
    ("rindex", 1, "def rindex($x): indices($x) | .[-1:][0];"),
    ("paths", 0, "def paths: path(..) | select(length > 0);"),
    ("paths", 1, "def paths(f): . as $all | paths | select(. as $path | $all | getpath($path) | f);"),
    ("leaf_paths", 0, "def leaf_paths: paths(scalars);"),
    (
        "any",
        2,
        "def any(g; c): [label $done | foreach g as $x
           (0; if . > 0 then break $done elif $x | c then 1 else . end; select(. > 0))] | length == 1;",
    ),
    ("any", 1, "def any(c): any(.[]; c);"),
    ("any", 0, "def any: any(.);"),
    (
        "all",
        2,
        "def all(g; c): [label $done | foreach g as $x
           (0; if . > 0 then break $done elif $x | c then . else 1 end; select(. > 0))] | length == 0;",
    ),
    ("all", 1, "def all(c): all(.[]; c);"),
    ("all", 0, "def all: all(.);"),
    ("isfinite", 0, "def isfinite: type == \"number\" and (isinfinite | not);"),
    ("arrays", 0, "def arrays: select(type == \"array\");"),
    ("objects", 0, "def objects: select(type == \"object\");"),
    ("iterables", 0, "def iterables: select(type == \"array\" or type == \"object\");"),
    ("booleans", 0, "def booleans: select(type == \"boolean\");"),
    ("numbers", 0, "def numbers: select(type == \"number\");"),
    ("normals", 0, "def normals: select(isnormal);"),
    ("finites", 0, "def finites: select(isfinite);"),
    ("strings", 0, "def strings: select(type == \"string\");"),
    ("nulls", 0, "def nulls: select(. == null);"),
    ("values", 0, "def values: select(. != null);"),
    ("scalars", 0, "def scalars: select(type != \"array\" and type != \"object\");"),
    ("fromdateiso8601", 0, "def fromdateiso8601: strptime(\"%Y-%m-%dT%H:%M:%SZ\") | mktime;"),
    ("todateiso8601", 0, "def todateiso8601: strftime(\"%Y-%m-%dT%H:%M:%SZ\");"),
    ("fromdate", 0, "def fromdate: strptime(\"%Y-%m-%dT%H:%M:%SZ\") | mktime;"),
    ("todate", 0, "def todate: strftime(\"%Y-%m-%dT%H:%M:%SZ\");"),
    (
        "range",
        3,
        "def range($from; $upto; $by):
           if $by > 0 then $from | while(. < $upto; . + $by) elif $by < 0 then $from | while(. > $upto; . + $by)
           else empty end;",
    ),
    ("while", 2, "def while(c; f): def step: if c then ., (f | step) else empty end; step;"),
    (
        "limit",
        2,
        "def limit($n; f): if $n < 0 then f
           else label $done | foreach f as $x ($n; . - 1; $x, (if . > 0 then empty else break $done end)) end;",
    ),
    ("isempty", 1, "def isempty(f): 0 == ((label $done | f | 1, break $done) // 0);"),
    ("first", 1, "def first(f): label $done | f | ., break $done;"),
    ("first", 0, "def first: .[0];"),
    ("last", 1, "def last(f): reduce f as $x (null; $x);"),
    ("last", 0, "def last: .[-1];"),
    (
        "nth",
        2,
        "def nth($n; f): if $n < 0 then error(\"nth doesn't support negative indices\") else last(limit($n + 1; f)) end;",
    ),
    ("nth", 1, "def nth($n): .[$n];"),
    ("in", 1, "def in(f): . as $key | f | has($key);"),
    ("inside", 1, "def inside(f): . as $part | f | contains($part);"),
    ("IN", 1, "def IN(f): reduce first(select(. == f)) as $x (false; true);"),
    ("IN", 2, "def IN(g; f): reduce (g | IN(f)) as $x (false; . or $x);"),
    (
        "walk",
        1,
        "def walk(f): . as $all | if type == \"object\"
           then reduce keys_unsorted[] as $k ({}; . + {($k): ($all[$k] | walk(f))}) | f
           elif type == \"array\" then map(walk(f)) | f else f end;",
    ),
    ("sort_by", 1, "def sort_by(f): _sort_by(map([f]));"),
    ("group_by", 1, "def group_by(f): _group_by(map([f]));"),
    ("unique", 0, "def unique: group_by(.) | map(.[0]);"),
    ("unique_by", 1, "def unique_by(f): group_by(f) | map(.[0]);"),
    ("min_by", 1, "def min_by(f): _min_by(map([f]));"),
    ("max_by", 1, "def max_by(f): _max_by(map([f]));"),
];

/// The definition of `name` with that many parameters.
pub fn text_of(name: &str, arity: usize) -> Option<(&'static str, &'static str)> {
    let known = DEFINITIONS.iter().find(|(other, count, _)| *other == name && *count == arity);
    known.map(|(name, _, text)| (*name, *text))
}
