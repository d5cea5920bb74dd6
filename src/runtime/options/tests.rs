//! Made-up help in the form that argparse gives it, and command lines held against it.

use super::*;

/// As Python up to 3.12 writes it, with what a runtime logs before.
const HELP: &str = "\
INFO 01-01 00:00:00 [somewhere.py:1] Loading.
usage: serve.py [-h] --weights WEIGHTS [--layout {packed,plain}]
                [--ports PORTS [PORTS ...]]

Serve something; `--help` says how.

positional arguments:
  name                  What to serve. (default: None)

options:
  -h, --help            show this help message and exit
  --weights WEIGHTS, --model WEIGHTS
                        Where the weights are, such as --weights /here.
  --layout {packed,plain}
                        How they lie. (default: plain)
  --ports PORTS [PORTS ...]
                        Where it listens.
  --tags [TAGS ...]     Words to show. (default: ['a (b)'])
  --log-level [LEVEL]
  --share SHARE         A share of
                        the memory. (default: 0.9)
  --dry                 Do nothing.

Engine:
  What the engine does.

  --warm, --no-warm     Warm up first. (default: True)
  --kind ['auto', 'own']
                        Any kind. (default: auto)
  -q {a,b}, --quant {a,b}
                        [DEPRECATED] Use --kind.
  --parser {a,b} or a name of your own
                        How to read it. (default: None)
  --span SPAN SPAN      From and to.
  --level LEVEL, -O LEVEL
                        How far. (default: 2)
  --old OLD             Note: --old is deprecated now.
  --json-config JSON_CONFIG
                        Not deprecated. (default: {})

What follows is the same:
   --json-config '{\"a\": 1}'
";

/// Names, values, choices, default, whether it is deprecated.
type Row<'a> = (&'a str, Values, Option<&'a str>, Option<&'a str>, bool);

fn list(flexible: bool) -> OptionList {
    OptionList::of_help(HELP, flexible).unwrap()
}

#[test]
fn a_help_is_taken_apart() {
    let list = list(false);
    assert_eq!(list.positional, ["name"]);
    let shown = list.options.iter().map(|option| {
        let names = option.names.join(" ");
        let choices = option.choices.as_ref().map(|choices| choices.join("|"));
        let default = option.default.as_deref();
        (names, option.values, choices, default, option.deprecated)
    });
    let shown: Vec<_> = shown.collect();
    let expected: [Row<'_>; 16] = [
        ("-h --help", Values::None, None, None, false),
        ("--weights --model", Values::One, None, None, false),
        ("--layout", Values::One, Some("packed|plain"), Some("plain"), false),
        ("--ports", Values::Many, None, None, false),
        ("--tags", Values::Any, None, Some("['a (b)']"), false),
        ("--log-level", Values::Optional, None, None, false),
        ("--share", Values::One, None, Some("0.9"), false),
        ("--dry", Values::None, None, None, false),
        ("--warm --no-warm", Values::None, None, Some("True"), false),
        ("--kind", Values::One, None, Some("auto"), false),
        ("-q --quant", Values::One, Some("a|b"), None, true),
        ("--parser", Values::One, None, None, false),
        ("--span", Values::Many, None, None, false),
        ("--level -O", Values::One, None, Some("2"), false),
        ("--old", Values::One, None, None, true),
        ("--json-config", Values::One, None, Some("{}"), false),
    ];
    let expected = expected.map(|(names, values, choices, default, old)| {
        (names.into(), values, choices.map(Into::into), default, old)
    });
    assert_eq!(shown, expected);
}

#[test]
fn values_stand_behind_the_last_name_since_python_3_13() {
    let help = "usage: x\n\noptions:\n  -q, --quant {a, b} ...\n  -a, --all [ALL]\n  --one, -o ONE  Yes.\n";
    let list = OptionList::of_help(help, false).unwrap();
    let shown: Vec<_> = list.options.iter().map(|it| (it.names.join(" "), it.values)).collect();
    let expected = [("-q --quant", Values::Many), ("-a --all", Values::Optional), ("--one -o", Values::One)];
    assert_eq!(shown, expected.map(|(names, values)| (names.to_owned(), values)));
    assert_eq!(list.options[0].choices.as_deref(), Some(&["a".to_owned(), "b".to_owned()][..]));
}

#[test]
fn a_text_without_options_is_no_help() {
    for text in
        ["", "usage: x", "--a A\n", "Traceback\n  --a\n", "usage: x\n\n  --outside  Of any section.\n"]
    {
        assert_eq!(OptionList::of_help(text, false), Err(NoHelp), "{text}");
    }
}

fn complaints(list: &OptionList, line: &str) -> Vec<String> {
    let words = shlex::split(line).unwrap();
    list.complaints(&words).iter().map(ToString::to_string).collect()
}

#[test]
fn what_a_command_would_not_understand_is_named() {
    let list = list(false);
    for (line, expected) in [
        ("", &[][..]),
        ("it --weights /a --layout=packed --ports 1 2 3 --dry", &[]),
        ("--share -1.5 --weights '-a b' --tags --log-level --no-warm", &[]),
        ("--kind anything --lay plain", &[]),
        ("-O3 -q a", &["`-q` is deprecated"]),
        ("--wieghts /a it", &["`--wieghts` is no option (did you mean `--weights`?)"]),
        ("--zzz", &["`--zzz` is no option"]),
        ("--l 3", &["`--l` may be --layout or --log-level or --level"]),
        ("--weights --dry", &["`--weights` needs a value"]),
        ("--ports", &["`--ports` needs a value"]),
        ("--dry=yes", &["`--dry` takes no value, and is given `yes`"]),
        (
            "--layout plane",
            &["`--layout` does not take `plane` (did you mean `plain`?); accepted: packed, plain"],
        ),
        ("it again", &["`again` belongs to no option"]),
        ("--json_config.a 1", &["`--json_config.a` is no option (did you mean `--json-config`?)"]),
        ("--old x --dry y z", &["`--old` is deprecated", "`z` belongs to no option"]),
    ] {
        assert_eq!(complaints(&list, line), expected, "{line}");
    }
}

#[test]
fn vllm_takes_underscores_and_keys() {
    let list = list(true);
    for line in [
        "--json_config.a 1 --json-config.b+ 2",
        "--log_level",
        "-O.mode 3",
        // Behind the sign all is value.
        r#"'--json-config={"a": "b", "c": 2}' --dry"#,
    ] {
        assert_eq!(complaints(&list, line), [""; 0], "{line}");
    }
    assert_eq!(
        complaints(&list, "--jsn_config 1"),
        ["`--jsn_config` is no option (did you mean `--json-config`?)"]
    );
}

#[test]
fn the_program_before_the_arguments_is_none_of_them() {
    let list = list(false);
    for line in [
        "python3 -m sglang.launch_server --dry it",
        "sglang serve it --dry",
        "env python3 -m vllm.entrypoints.openai.api_server --dry",
        "vllm serve it",
    ] {
        assert_eq!(complaints(&list, line), [""; 0], "{line}");
    }
    // Where it is not the beginning, it is nothing special.
    assert_eq!(complaints(&list, "--dry vllm serve it").len(), 2);
}

#[test]
fn what_nobody_could_tell_is_no_complaint() {
    let unknown =
        ServerOption { values: Values::Unknown, names: vec!["--odd".into()], ..ServerOption::help() };
    let list = OptionList { options: vec![unknown, ServerOption::help()], ..OptionList::default() };
    for line in ["--odd", "--odd 1 2", "--odd=1", "--odd --help"] {
        assert_eq!(complaints(&list, line), [""; 0], "{line}");
    }
    assert!(complaints(&list, "--odd --nothing").len() == 1);
}

#[test]
fn only_what_ends_a_command_is_fatal() {
    let list = list(false);
    let fatal = |line: &str| list.complaints(&shlex::split(line).unwrap()).iter().any(Complaint::is_fatal);
    assert!(!fatal("--old 1"));
    assert!(fatal("--older 1"));
}
