use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::*;

/// The value, where the whole text is one.
fn whole(text: &str) -> Read<&str> {
    let mut cursor = Cursor::new(text);
    let value = cursor.value()?;
    cursor.end()?;
    Ok(value)
}

fn agrees(text: &str) -> Result<(), TestCaseError> {
    let theirs = serde_json::from_str::<IgnoredAny>(text);
    prop_assert_eq!(whole(text).is_ok(), theirs.is_ok(), "{:?}: {:?}, {:?}", text, whole(text), theirs);
    Ok(())
}

#[test]
fn what_is_json_is_what_serde_json_says() {
    for text in [
        "null",
        "true",
        "false",
        "0",
        "-0",
        "-1.5e+10",
        "1E5",
        "\"\"",
        "[]",
        "{}",
        " [ ] ",
        " { } ",
        r#"{"a":[1,{"b":null},"x\"y\u00e4\\"],"c":{"d":{}}}"#,
        "[[[],[]],[]]",
        "[1,2,[3]]",
        // And what is not.
        "",
        " ",
        "nul",
        "tru",
        "nulll",
        "01",
        "1.",
        ".5",
        "-",
        "+1",
        "1e",
        "1e+",
        "\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u123",
        "\"a\nb\"",
        "[",
        "]",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{\"a\" 1}",
        "{\"a\":1]",
        "[1}",
        "1 2",
        "{}{}",
        "[\"\u{1}\"]",
        "NaN",
    ] {
        agrees(text).unwrap();
    }
}

#[test]
fn what_is_nested_too_deeply_is_refused() {
    let lists = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let objects = |depth: usize| "{\"a\":".repeat(depth) + "1" + &"}".repeat(depth);
    for (depth, fits) in [(1, true), (127, true), (128, false), (100_000, false)] {
        assert_eq!((whole(&lists(depth)).is_ok(), whole(&objects(depth)).is_ok()), (fits, fits), "{depth}");
    }
}

#[test]
fn members_and_items_are_given_in_order() {
    let mut seen = Vec::new();
    let mut cursor = Cursor::new(r#" { "a" : 1 , "b\n" : [ true , "x" ] , "c" : null } "#);
    cursor
        .object(|name, cursor| {
            match name {
                "b\\n" => assert!(cursor.list_or_null(|cursor| {
                    seen.push(("item", Some(cursor.value()?)));
                    Ok(())
                })?),
                name => seen.push((name, cursor.present()?)),
            }
            Ok(())
        })
        .unwrap();
    cursor.end().unwrap();
    let expected = [("a", Some("1")), ("item", Some("true")), ("item", Some("\"x\"")), ("c", None)];
    assert_eq!(seen, expected);
    assert!(!Cursor::new("null").list_or_null(|_| panic!("there is none")).unwrap());
    Cursor::new("null").object_or_null(|_, _| panic!("there is none")).unwrap();
}

#[test]
fn what_is_of_another_kind_is_refused_with_its_place() {
    let said =
        |text, read: fn(&mut Cursor<'_>) -> Read<()>| read(&mut Cursor::new(text)).unwrap_err().to_string();
    assert_eq!(said("[1]", |it| it.object(|_, _| Ok(()))), "expected an object at byte 0");
    assert_eq!(said(" 1", |it| it.list_or_null(|_| Ok(())).map(|_| ())), "expected a list at byte 1");
    assert_eq!(said("[1,x]", |it| it.value().map(|_| ())), "expected a value at byte 3");
}

proptest! {
    #[test]
    fn any_text_is_json_here_where_it_is_for_serde_json(text in any::<String>()) {
        agrees(&text)?;
    }

    #[test]
    fn anything_of_jsons_characters_too(text in "[\\[\\]{}:,\"\\\\ 0-9eE.+\\-nulltruefas\\n]{0,40}") {
        agrees(&text)?;
    }

    #[test]
    fn a_text_of_any_length_ends_where_it_ends(before in "[ -!#-\\[\\]-~ä€]{0,40}", after in "[ -~]{0,20}") {
        let text = format!("\"{before}\"{after}");
        let mut cursor = Cursor::new(&text);
        prop_assert_eq!(cursor.string().unwrap(), before);
        prop_assert_eq!(&text[cursor.at..], after);
    }

    #[test]
    fn a_character_more_or_less_does_not_pass(at in 0usize..200, byte in "[\\[\\]{}:,\" 0-9a-z\\\\]?") {
        let event = r#"{"id":"x","choices":[{"index":0,"delta":{"content":"a\u00e4"},"finish_reason":null}],"usage":{"n":[1.5e3,-2,true]}}"#;
        let at = at % event.len();
        agrees(&format!("{}{byte}{}", &event[..at], &event[at + 1..]))?;
        agrees(&format!("{}{byte}{}", &event[..at], &event[at..]))?;
    }
}
