use super::{Position, parse};
use serde_json::{Value, json};
use std::{fmt::Write as _, process::Command};

fn one(text: &str) -> Result<Value, String> {
    let documents = parse(text.as_bytes()).map_err(|e| format!("{e}; {}", e.help))?;
    assert_eq!(documents.len(), 1, "{text}");
    Ok(documents[0].to_json())
}

/// Plain and tagged scalars, flow and block, as they stand behind `data: `.
const SCALARS: &str = r#"yes
no
Y
y
n
N
On
oFF
OFF
TRUE
tRUE
true
~
Null
nULL
0777
-0777
+0777
0777.5
08
0_7
00
0_
0.
00x
1_000
1_000.5
1_0.5
1__0
1_
_1
-_1
_
10:00
1:20:30
190:20:30.15
2024-01-02
2024-1-2
2001-12-14t21:59:43.10-05:00
2001-12-14 21:59:43
0x1F
0X1f
-0x1f
0x_1
0x1_F
0x
0x-1
0xFFFFFFFFFFFFFFFF
0xFFFFFFFFFFFFFFFFF
0x1.8p1
0o17
0O17
0o_7
-0o17
-0o_1
0o8
0b11
0B11
-0b11
0b_1
0b2
0_b1
+5
+-1
--1
-0
-0.0
0.0
1.50
3.0
1.
.5
-.5
+.5
.5_0
.
+
.e1
1e
1e+
1.e1
1e3
1E5
1.5e+3
1e-7
1e21
1e400
.5e400
-1e400
0.1_5
1_e5
1._5
1_.5
100000000000000000000.0
12345678901234567890123
9223372036854775807
9223372036854775808
18446744073709551615
18446744073709551616
+9223372036854775808
-9223372036854775808
-9223372036854775809
.inf
-.INF
.NaN
.Nan
inf
Infinity
nan
!!str 5
!!str
!!str yes
!!float 5
!!float 1e3
!!float yes
!!float .inf
!!int "5"
!!int 0777
!!int 5.0
!!bool yes
!!bool "yes"
!!null ~
!!null x
!!binary aGVsbG8=
!!binary "@@"
!!timestamp 2020-01-01
!foo bar
!foo 5
! 5
=
<<
'it''s'
"a\tb\x41\u0416"
"a\/b"
"\q"
'Привет'
Привет, мир
3d
1d12h
50%
-30%
+7 900 000-00-00
[a, b]
[a, b,]
{a: b, c}
{a: 1,}
{a:1}
{"a":1}
{on: yes, 7: x, 2024-01-02: y, -1: z}
{~: x}
{? : x}
{[a]: 1}
{? b}
[a: 1, ? b : 2]
[- b]
[a:b, c]
{{ client.name }}
"{{ client.name }}"
@a
`a
%a
a: b
a:b
- b
x # comment
x#y
http://x:80/y?z=1,2
[http://x:80, b]
{a: http://x}
*z
{a: &x 1, b: *x}
{a: &x {k: 1, l: 2}, b: {<<: *x, k: 2}}
{a: &x {k: 1, l: 2}, b: {k: 2, <<: *x}}
{a: &x {k: 1}, c: &y {k: 2, m: 3}, b: {<<: [*x, *y], n: 4}}
{a: {<<: 3}}
{a: {"<<": {c: 1}}}
{b: &x [*x]}
!!set {a, b}
"#;

/// Whole bodies, each below `data:` of one manifest.
const BLOCKS: &[&str] = &[
    "\n  a: 'x\n\n\n    y'\n  b: x\n    y\n",
    " >-\n  a\n  b\n\n   c\n",
    " |+\n  a\n\n",
    " |2\n   x\n",
    " |\n  a: yes\n  # not a comment\n",
    " |\n\tx\n",
    "\n- b\n- c:\n  - d\n",
    "\n\ta: 1\n",
    "\t b\n",
    " \"x\n  y\\\n  z\"\n",
    " [b\n]\n",
    "\n  a: 1\n   b: 2\n",
    "\n  on: {off: no}\n  'no': 1\n",
    " x\r\nmore: y\r\n",
    "\n  ? a\n  : b\n",
    "\n  - a\n  -\n  - ~\n",
    " >\n  Мы обновили\n  шоу-рум.\n\n  Ждём!\n",
];

fn manifest(data: &str) -> String {
    format!("apiVersion: v1\nkind: Foo\nmetadata: {{name: a}}\ndata:{data}")
}

/// What a real kubectl made of each sample, `null` where it refused: written by `REKINDLE_UPDATE_KUBECTL=1 cargo test --lib kubectl`
/// on a machine that has one, so that every machine compares with it.
const ANSWERS: &str = include_str!("kubectl_answers.json");

fn kubectl(folder: &std::path::Path, number: usize, text: &str) -> Value {
    let file = folder.join(format!("{number}.yaml"));
    std::fs::write(&file, text).unwrap();
    let output = Command::new("kubectl")
        .args(["label", "--local", "--dry-run=client", "-o", "json", "x=y", "-f"])
        .arg(&file)
        .env("KUBECONFIG", "/dev/null")
        .output()
        .unwrap();
    match serde_json::from_slice::<Value>(&output.stdout) {
        Ok(mut value) if output.status.success() => {
            value["metadata"].as_object_mut().unwrap().remove("labels");
            value
        }
        _ => Value::Null,
    }
}

fn samples() -> Vec<String> {
    SCALARS.lines().map(|line| format!(" {line}\n")).chain(BLOCKS.iter().map(ToString::to_string)).collect()
}

/// `1.0` and `1` are one number to JSON; beyond 64 bits both sides keep the nearest double.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

#[test]
fn means_what_kubectl_makes_of_it() {
    if std::env::var_os("REKINDLE_UPDATE_KUBECTL").is_some() {
        let folder = tempfile::tempdir().unwrap();
        let answers: serde_json::Map<String, Value> = samples()
            .into_iter()
            .enumerate()
            .map(|(i, sample)| (sample.clone(), kubectl(folder.path(), i, &manifest(&sample))))
            .collect();
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/source/kubectl_answers.json");
        std::fs::write(file, format!("{:#}\n", Value::Object(answers))).unwrap();
        return;
    }
    let answers: serde_json::Map<String, Value> = serde_json::from_str(ANSWERS).unwrap();
    let mut different = Vec::new();
    for sample in samples() {
        let theirs =
            answers.get(&sample).unwrap_or_else(|| panic!("kubectl was not asked about {sample:?}: REKINDLE_UPDATE_KUBECTL=1"));
        let ours = one(&manifest(&sample));
        let agree = match &ours {
            Ok(ours) => same(theirs, ours),
            Err(_) => theirs.is_null(),
        };
        if !agree {
            different.push(format!("{sample:?}: kubectl {}, ours {:?}", theirs["data"], ours.map(|v| v["data"].clone())));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn reads_the_words_that_yaml_1_1_turns_into_something_else() {
    let data = one(&manifest(" {on: yes, b: 0777, c: 10:00, d: ~, e: 1_000, f: 3.0, g: 1e3, h: 2024-01-02, i: '5'}\n")).unwrap();
    assert_eq!(
        data["data"],
        json!({"true": true, "b": 511, "c": "10:00", "d": null, "e": 1000, "f": 3, "g": 1000, "h": "2024-01-02", "i": "5"})
    );
}

#[test]
fn json_is_read_as_json() {
    let text =
        "{\"apiVersion\": \"v1\", \"d\": \"\\/\\ud83d\\ude00\", \"e\": 3.0,\n\t\"f\": [true, null, -1.5e2], \"g\": \"\\\\ud83d\"}";
    assert_eq!(one(text).unwrap(), json!({"apiVersion": "v1", "d": "/😀", "e": 3, "f": [true, null, -150], "g": "\\ud83d"}));
}

#[test]
fn documents_keep_their_lines() {
    let text = "\u{feff}# a comment\n---\na: 1\n---\n---\nb:\n  - x\n  - {k: z}\n--- # end\n";
    let documents = parse(text.as_bytes()).unwrap();
    assert_eq!(documents.len(), 2);
    for (path, line, column) in [("b", 6, 1), ("b[1].k", 8, 6), ("b[0]", 7, 5), ("b[7].k", 6, 1), ("b[1].nothing", 8, 5)] {
        assert_eq!(documents[1].find(path).0, Position { line, column }, "{path}");
    }
    let dotted = &parse(b"data:\n  a: 1\n  a.b: {c: 2}\n  a/b: 3\n").unwrap()[0];
    for (path, line) in [("data.a", 2), ("data.a.b", 3), ("data[a.b].c", 3), ("data[\"a/b\"]", 4)] {
        assert_eq!((dotted.find(path).0.line, dotted.find(path).1.is_some()), (line, true), "{path}");
    }
}

#[test]
fn says_where_and_what_to_write() {
    let mut laughs = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for i in 1..8 {
        let before = format!("*a{}", i - 1);
        writeln!(laughs, "a{i}: &a{i} [{}]", [before.as_str(); 10].join(",")).unwrap();
    }
    let deep = format!("a: {}{}", "[".repeat(200), "]".repeat(200));
    for (text, place, words) in [
        ("a: 1\nb: 2\na: 3\n", "3:1", "in line 1 and in line 3"),
        ("a: 1\non: 2\ntrue: 3\n", "3:1", "\"true\" is given twice"),
        ("a:\n\tb: 1\n", "2:", "spaces, not with tabs"),
        ("a: x: y\n", "1:", "in quotes"),
        ("a: {{ client.name }}\n", "1:", "in quotes"),
        ("a: @x\n", "1:", "in quotes"),
        ("a: *x\n", "1:4", "anchor"),
        ("a: &x [*x]\n", "1:8", "contains itself"),
        ("a: .inf\n", "1:4", "finite number"),
        ("a: !!int x\n", "1:", "!!int"),
        ("a: 1\n...\nb: 2\n", "3:1", "line with ---"),
        ("a: 1\n--- {b: 2}\n", "2:5", "after ---"),
        ("a: x\u{2028}y\n", "1:5", "U+2028"),
        ("a: \u{0}\n", "1:4", "U+0000"),
        ("1.5: x\n", "1:1", "quotes"),
        // kubectl takes this one; here what stands in braces must be indented.
        ("a: {\nb: c\n}\n", "2:1", "indentation"),
        (laughs.as_str(), "5:", "aliases"),
        (deep.as_str(), "1:", "levels deep"),
    ] {
        let error = parse(text.as_bytes()).unwrap_err();
        let shown = format!("{error}; {}", error.help);
        assert!(shown.starts_with(place) && shown.contains(words), "{text:?}: {shown}");
    }
    assert!(parse(b"a: \xff\n").unwrap_err().to_string().starts_with("1:4: the file is not UTF-8"));
}

/// kubectl refuses `\/` wherever it stands in double quotes; a backslash that is itself written `\\` may have a slash behind it.
#[test]
fn a_slash_behind_a_backslash_is_refused_as_kubectl_does() {
    for (lines, refused) in [
        (&[r#"ж: "a\/b""#][..], Some(1)),
        (&[r#"a: "\\/""#, r"b: 'x\/'", r"c: x\/"], None),
        (&[r#"a: "\\/""#, r#"b: "\\\/""#], Some(2)),
        (&[r"a: x\/", r#"b: "y""#, "c:", r#"- "\/""#], Some(4)),
    ] {
        let said = parse(lines.join("\n").as_bytes()).map_err(|error| (error.at.line, error.message.contains(r"\/")));
        assert_eq!(said.err(), refused.map(|line| (line, true)), "{lines:?}");
    }
}

/// Ten times as many values take ten times as long: a list of 10,000 items gets its answer.
#[test]
fn a_long_file_is_not_searched_again_for_each_value() {
    let value = format!("- \"{}\"\n", "x".repeat(200));
    let text = format!("{}- x\\/\n", value.repeat(20_000));
    let begun = std::time::Instant::now();
    assert_eq!(parse(text.as_bytes()).unwrap().len(), 1);
    assert!(begun.elapsed().as_secs() < 20, "it took {:?}", begun.elapsed());
}

proptest::proptest! {
    #[test]
    fn never_panics(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200), text in "[-a-z:{}\\[\\]&*!|>'\"#%@`,? \t\n0-9._~<\\\\u]{0,80}") {
        let _ = parse(&bytes);
        let _ = parse(text.as_bytes());
    }

    #[test]
    fn any_json_is_read_back(text in ".{0,40}", number in proptest::prelude::any::<i64>(), flag in proptest::prelude::any::<bool>()) {
        let odd = |c: char| matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}') || c.is_control();
        let value = json!({"text": text, "n": number, "list": [flag, null, {"k": text.clone()}]});
        if !text.contains(odd) {
            proptest::prop_assert_eq!(one(&value.to_string()).unwrap(), value);
        }
    }
}
