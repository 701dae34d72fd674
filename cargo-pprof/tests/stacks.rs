//! Reports that the reference has not got: all stacks, as a picture and as text.

use std::io::Cursor;

use cargo_pprof::driver::Ui;
use pprof_format::{Builder, NewFunction, NewLine};

/// A report of stacks, root first, and their values.
fn report(words: &[&str], stacks: &[(&[&str], i64)]) -> String {
    let mut builder = Builder::new();
    builder.sample_type("calls", "count");
    for (stack, value) in stacks {
        let locations: Vec<_> = stack
            .iter()
            .rev()
            .map(|name| {
                let function = builder.function(&NewFunction {
                    name,
                    system_name: "x",
                    ..NewFunction::default()
                });
                builder.location(None, 0, &[NewLine { function, line: 1, column: 0 }])
            })
            .collect();
        builder.sample(&locations, &[*value], &[]);
    }
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("profile.pb");
    std::fs::write(&file, builder.build().expect("whole").encode()).expect("a directory of ours");
    let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    words.push(file.to_str().expect("of letters").to_owned());
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut ui = Ui { out: &mut out, err: &mut err, is_terminal: false };
    let code = cargo_pprof::run(&words, &mut Cursor::new(""), &mut ui);
    assert_eq!(code, 0, "{}", String::from_utf8_lossy(&err));
    String::from_utf8(out).expect("text")
}

#[test]
fn standard_input_is_read() {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut ui = Ui { out: &mut out, err: &mut err, is_terminal: false };
    let words = ["-folded", "-ignore=b", "-"].map(str::to_owned);
    assert_eq!(cargo_pprof::run(&words, &mut Cursor::new("main;a 3\nmain;b 4\n"), &mut ui), 0);
    assert_eq!(String::from_utf8_lossy(&out), "main;a 3\n");
}

#[test]
fn stacks_are_lines() {
    let stacks: [(&[&str], i64); 5] = [
        (&["main", "b"], 2),
        (&["main", "a;x\ny"], 3),
        (&["main"], 1),
        (&["main", "b"], 4),
        (&["other"], -5),
    ];
    assert_eq!(report(&["-folded"], &stacks), "main 1\nmain;a:x y 3\nmain;b 6\nother -5\n");
    assert_eq!(report(&["-folded", "-focus=b$"], &stacks), "main;b 6\n");
}

/// Place, width and what is said of each frame.
fn frames(picture: &str) -> Vec<(f64, f64, u32, &str)> {
    let part = |line: &str, name: &str| {
        let rest = line.split_once(&format!("{name}=\"")).expect("it has one").1;
        rest.split(['%', '"']).next().expect("a number").parse::<f64>().expect("a number")
    };
    let drawn = picture.split("<g id=\"frames\">").nth(1).expect("frames").split("</g>").next();
    drawn
        .expect("their end")
        .lines()
        .filter(|line| line.starts_with("<svg"))
        .map(|line| {
            let title = line.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next());
            (part(line, "x"), part(line, "width"), part(line, "y") as u32, title.expect("a title"))
        })
        .collect()
}

#[test]
fn frames_lie_below_their_callers() {
    let stacks: [(&[&str], i64); 3] =
        [(&["main", "a<T>"], 30), (&["main", "b", "c"], 60), (&["\"&]]>"], 10)];
    let picture = report(&["-flamegraph"], &stacks);
    let mut found = frames(&picture);
    found.sort_by(|a, b| a.2.cmp(&b.2).then(a.0.total_cmp(&b.0)));
    assert_eq!(
        found,
        [
            (0.0, 100.0, 64, "all: 100 (100%)"),
            (0.0, 90.0, 81, "main: 90 (90.00%)"),
            (90.0, 10.0, 81, "&quot;&amp;]]&gt;: 10 (10.00%)"),
            (0.0, 60.0, 98, "b: 60 (60.00%)"),
            (60.0, 30.0, 98, "a&lt;T&gt;: 30 (30.00%)"),
            (0.0, 60.0, 115, "c: 60 (60.00%)"),
        ]
    );
    assert_eq!(picture, report(&["-flamegraph"], &stacks), "the same bytes");
    assert_eq!(picture.matches("<svg").count(), picture.matches("</svg>").count());
}

#[test]
fn what_is_too_thin_is_told() {
    let stacks: [(&[&str], i64); 2] = [(&["main", "much"], 1_000_000), (&["main", "little"], 10)];
    let picture = report(&["-flamegraph"], &stacks);
    assert!(!picture.contains("little") && picture.contains("1 branches below 0.03% not drawn"));
    assert!(report(&["-flamegraph", "-nodefraction=0"], &stacks).contains("little"));
}

#[test]
fn a_page_has_the_picture() {
    let stacks: [(&[&str], i64); 2] = [(&["main", "a<T>"], 30), (&["main", "b"], 60)];
    let (picture, page) = (report(&["-flamegraph"], &stacks), report(&["-flamehtml"], &stacks));
    let svg = picture.split_once("?>\n").expect("a declaration").1;
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains(svg) && !page.contains("<?xml"));
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("flame.html");
    let output = format!("-output={}", file.display());
    assert_eq!(report(&["-flamegraph", &output], &stacks), "");
    assert_eq!(std::fs::read_to_string(file).expect("it was written"), page);
}

#[test]
fn names_are_shown_without_modules_when_asked() {
    let stacks: [(&[&str], i64); 3] = [
        (&["app::main", "alloc::vec::Vec<a::B>::push"], 2),
        (&["app::main", "other::vec::Vec<a::B>::push"], 3),
        (&["app::main", "core::ptr::drop"], 1),
    ];
    let top = report(&["-top", "-short_names"], &stacks);
    // Called alike, and still two.
    assert_eq!(top.matches(" Vec<B>::push\n").count(), 2, "{top}");
    assert!(top.contains(" ptr::drop\n"), "{top}");
    for words in [&["-tree"][..], &["-traces"], &["-folded"], &["-flamegraph"], &["-peek=vec::Vec"]]
    {
        let words = [words, &["-short_names"]].concat();
        let text = report(&words, &stacks).replace("&lt;", "<").replace("&gt;", ">");
        assert!(text.contains("Vec<B>::push") && !text.contains("alloc::"), "{words:?}: {text}");
    }
    // Filters go by whole names.
    assert_eq!(
        report(&["-folded", "-short_names", "-focus=other"], &stacks),
        "app::main;Vec<B>::push 3\n"
    );
}
