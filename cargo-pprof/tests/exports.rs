//! Reports for other programs, and whether these accept a profile.

use std::io::Cursor;

use cargo_pprof::driver::Ui;
use pprof_format::{Builder, NewFunction, NewLine, Profile};
use serde_json::{Value, json};

/// Two calls of `leaf`, one of them inlined into `main`, and one of `main` alone.
fn profile() -> Profile {
    let mut builder = Builder::new();
    builder.sample_type("contentions", "count").sample_type("delay", "nanoseconds");
    let mut function = |name, start_line| {
        let (filename, system_name) = ("src/a.rs", "x");
        builder.function(&NewFunction { name, system_name, filename, start_line })
    };
    let (main, leaf) = (function("main", 3), function("\"leaf\"", 9));
    let line = |function, line| NewLine { function, line, column: 0 };
    let at_main = builder.location(None, 0x10, &[line(main, 4)]);
    let at_leaf = builder.location(None, 0x20, &[line(leaf, 10)]);
    let inlined = builder.location(None, 0x30, &[line(leaf, 11), line(main, 5)]);
    builder.sample(&[at_leaf, at_main], &[2, 300], &[]);
    builder.sample(&[inlined], &[1, 50], &[]);
    builder.sample(&[at_main], &[0, 7], &[]);
    builder.build().expect("whole")
}

/// What a command line prints of that profile, and what it exits with.
fn run(words: &[&str], bytes: &[u8]) -> (u8, String, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("profile.pb");
    std::fs::write(&file, bytes).expect("a directory of ours");
    let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    words.push(file.to_str().expect("of letters").to_owned());
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut ui = Ui { out: &mut out, err: &mut err, is_terminal: false };
    let code = cargo_pprof::run(&words, &mut Cursor::new(""), &mut ui);
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (code, text(out), text(err))
}

fn report(words: &[&str]) -> Value {
    let (code, out, err) = run(words, &profile().encode());
    assert_eq!(code, 0, "{err}");
    assert_eq!(out, run(words, &profile().encode()).1, "the same bytes");
    serde_json::from_str(&out).expect("JSON")
}

#[test]
fn tables_are_json() {
    let table = report(&["-json", "-unit=seconds"]);
    for (key, value) in [
        ("version", json!(1)),
        ("type", json!("delay")),
        ("unit", json!("nanoseconds")),
        ("total", json!(357)),
        ("filters", json!([])),
    ] {
        assert_eq!(table[key], value, "{key}");
    }
    let leaf = json!({
        "name": "\"leaf\"", "function": "\"leaf\"", "flat": 350, "cum": 350
    });
    let main = json!({ "name": "main", "function": "main", "flat": 7, "cum": 357 });
    assert_eq!(table["entries"], json!([leaf, main]));
    let lines = report(&["-json", "-lines"]);
    let inlined = lines["entries"].as_array().expect("entries").iter().find(|e| e["line"] == 11);
    assert_eq!(inlined.expect("it is one")["inline"], json!(true));
    let table = report(&["-json", "-lines", "-nodecount=1", "-cum", "-ignore=leaf"]);
    let main = json!({
        "name": "main src/a.rs:4", "function": "main", "file": "src/a.rs", "line": 4, "flat": 7, "cum": 7
    });
    assert_eq!(table["entries"], json!([main]));
    assert_eq!(table["filters"], json!(["ignore=leaf"]));
    assert_eq!(report(&["-json", "-divide_by=7"])["total"], json!(51));
}

/// What `https://www.speedscope.app/file-format-schema.json` demands, and what its reader does beyond that.
fn check(file: &Value) {
    let number = |value: &Value| value.as_f64().expect("a number");
    assert_eq!(file["$schema"], "https://www.speedscope.app/file-format-schema.json");
    let frames = file["shared"]["frames"].as_array().expect("frames");
    for frame in frames {
        assert!(frame["name"].is_string());
        assert!(frame.get("file").is_none_or(Value::is_string));
        assert!(["line", "col"].iter().all(|part| frame.get(part).is_none_or(Value::is_number)));
    }
    let units = ["bytes", "microseconds", "milliseconds", "nanoseconds", "none", "seconds"];
    for profile in file["profiles"].as_array().expect("profiles") {
        assert_eq!(profile["type"], "sampled");
        assert!(profile["name"].is_string());
        assert!(units.contains(&profile["unit"].as_str().expect("a unit")));
        let samples = profile["samples"].as_array().expect("samples");
        let weights = profile["weights"].as_array().expect("weights");
        assert_eq!(samples.len(), weights.len());
        let total: f64 = weights.iter().map(number).sum();
        assert!(weights.iter().all(|weight| number(weight) > 0.0));
        assert_eq!(number(&profile["endValue"]) - number(&profile["startValue"]), total);
        for frame in samples.iter().flat_map(|sample| sample.as_array().expect("a stack")) {
            assert!((frame.as_u64().expect("an index") as usize) < frames.len());
        }
    }
    let active = file["activeProfileIndex"].as_u64().expect("an index") as usize;
    assert!(file["profiles"].get(active).is_some());
}

#[test]
fn speedscope_has_inlined_frames_and_all_types() {
    let file = report(&["-speedscope"]);
    check(&file);
    let frames = file["shared"]["frames"].as_array().expect("frames");
    let name = |index: &Value| frames[index.as_u64().expect("one") as usize]["name"].clone();
    let stacks = |profile: &Value| -> Vec<Vec<Value>> {
        let samples = profile["samples"].as_array().expect("samples").iter();
        samples.map(|s| s.as_array().expect("a stack").iter().map(name).collect()).collect()
    };
    let both = ["main", "\"leaf\""].map(|name| json!(name)).to_vec();
    assert_eq!(stacks(&file["profiles"][0]), [both.clone(), both.clone()]);
    assert_eq!(stacks(&file["profiles"][1]), [both.clone(), both, vec![json!("main")]]);
    assert_eq!(file["profiles"][1]["weights"], json!([300, 50, 7]));
    assert_eq!(file["profiles"][1]["unit"], "nanoseconds");
    assert_eq!(file["activeProfileIndex"], 1);
    assert_eq!(frames.len(), 2, "functions, not lines");
    assert!(frames.contains(&json!({ "name": "main", "file": "src/a.rs", "line": 3 })));
    assert_eq!(report(&["-speedscope", "-sample_index=0"])["activeProfileIndex"], 0);
    check(&report(&["-speedscope", "-focus=leaf", "-lines"]));
}

#[test]
fn speedscope_is_not_given_what_it_cannot_show() {
    let mut profile = profile();
    profile.sample[0].value[1] = -300;
    let (code, out, err) = run(&["-speedscope"], &profile.encode());
    assert_eq!(code, 2, "{out}");
    assert!(err.contains("below zero") && err.contains("-flamegraph"), "{err}");
}

#[test]
fn lint_tells_by_its_exit() {
    let mut profile = profile();
    let (code, out, err) = run(&["-lint"], &profile.encode());
    assert!(code == 0 && out.contains(": warning: parca: no time") && err.is_empty(), "{out}{err}");
    profile.sample = vec![profile.sample[0].clone(); 16_001];
    let (code, out, _) = run(&["-lint"], &profile.encode());
    assert!(
        out.contains("profile.pb: refused: pyroscope: more than 16000 samples: 16001"),
        "{out}"
    );
    assert_eq!(code, 1);
    let (code, _, err) = run(&["-lint", "/no/such/file"], &profile.encode());
    assert!(code == 2 && err.contains("/no/such/file"), "{err}");
    assert_eq!(run(&["-lint", "-top"], &profile.encode()).0, 2);
}
