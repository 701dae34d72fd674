//! What `decode` makes of real profiles and of hostile ones.

use pprof_format::{
    Builder, ErrorKind, Label, LabelValue, Limits, Line, Location, NewFunction, NewLabel, NewLine,
    NewMapping, Profile, Sample,
};

/// Written by a Go 1.27 program: 0.3 s of two functions, locks, channels and allocations.
const GO: [(&str, &[u8]); 5] = [
    ("cpu", include_bytes!("data/go-cpu.pprof")),
    ("heap", include_bytes!("data/go-heap.pprof")),
    ("mutex", include_bytes!("data/go-mutex.pprof")),
    ("block", include_bytes!("data/go-block.pprof")),
    ("goroutine", include_bytes!("data/go-goroutine.pprof")),
];

fn small() -> Profile {
    let mut b = Builder::new();
    b.sample_type("samples", "count").sample_type("cpu", "nanoseconds");
    b.period("cpu", "nanoseconds", 10_000_000).comment("a remark").default_sample_type("cpu");
    let m = b.mapping(&NewMapping {
        start: 0x1000,
        limit: 0x9000,
        filename: "/bin/app",
        build_id: "c0ffee",
        ..Default::default()
    });
    let f = b.function(&NewFunction {
        name: "app::work",
        system_name: "_RNv3app4work",
        filename: "app.rs",
        start_line: 3,
    });
    let l = b.location(Some(m), 0x1234, &[NewLine { function: f, line: 7, column: 5 }]);
    let labels = [
        NewLabel { key: "thread", value: LabelValue::Str("worker") },
        NewLabel { key: "bytes", value: LabelValue::Num(-5, "bytes") },
    ];
    b.sample(&[l, l], &[3, -30_000_000], &labels);
    b.sample(&[], &[1, 1], &[]);
    b.build().unwrap()
}

#[test]
fn go_profiles_survive_the_round_trip() {
    for (name, bytes) in GO {
        let profile = Profile::decode(bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(!profile.sample.is_empty(), "{name}");
        profile.validate_strict().unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(Profile::decode(&profile.encode()).unwrap(), profile, "{name}");
    }
    let cpu = Profile::decode(GO[0].1).unwrap();
    assert_eq!(cpu.string(cpu.sample_type[1].unit), "nanoseconds");
    assert!(cpu.function.iter().any(|f| cpu.string(f.name) == "main.burn"));
}

#[test]
fn both_wire_forms_of_a_profile_decode_to_it() {
    let profile = small();
    let mut gzip = Vec::new();
    profile.write_to(&mut gzip).unwrap();
    assert_eq!(Profile::decode(&gzip).unwrap(), profile);
    assert_eq!(Profile::decode(&profile.encode()).unwrap(), profile);
}

#[test]
fn old_writers_do_not_pack_their_numbers() {
    // sample_type {1: 1}; sample { location_id: 1, location_id: 1, value: 5 } one by one; location {1: 1}; strings.
    let bytes = [
        0x0a, 2, 0x08, 1, 0x12, 6, 0x08, 1, 0x08, 1, 0x10, 5, 0x22, 2, 0x08, 1, 0x32, 0, 0x32, 1,
        b'n',
    ];
    let profile = Profile::decode(&bytes).unwrap();
    assert_eq!(profile.sample[0].location_id, [1, 1]);
    assert_eq!(profile.sample[0].value, [5]);
}

#[test]
fn a_name_that_is_not_utf8_is_shown_as_well_as_possible() {
    let profile = Profile::decode(&[0x32, 0, 0x32, 2, b'f', 0xff]).unwrap();
    assert_eq!(profile.string_table[1], "f\u{fffd}");
}

#[test]
fn no_cut_and_no_flipped_byte_panics() {
    let mut gzip = Vec::new();
    small().write_to(&mut gzip).unwrap();
    for bytes in [small().encode(), gzip, GO[0].1.to_vec()] {
        for cut in 0..bytes.len().min(4096) {
            let _ = Profile::decode(&bytes[..cut]);
        }
        let mut broken = bytes.clone();
        for at in 0..bytes.len().min(2048) {
            for flip in [0x01, 0x80, 0xff] {
                broken[at] ^= flip;
                if let Ok(profile) = Profile::decode(&broken) {
                    // What is accepted holds together.
                    profile.validate().unwrap();
                }
                broken[at] ^= flip;
            }
        }
    }
}

#[test]
fn random_bytes_are_refused_or_hold_together() {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..20_000 {
        let bytes: Vec<u8> = (0..next() % 64).map(|_| next() as u8 & 0x3f).collect();
        if let Ok(profile) = Profile::decode(&bytes) {
            profile.validate().unwrap();
        }
    }
}

#[test]
fn errors_name_the_offence() {
    let refused = |break_it: fn(&mut Profile)| {
        let mut profile = small();
        break_it(&mut profile);
        Profile::decode(&profile.encode()).unwrap_err().to_string()
    };
    assert_eq!(
        refused(|p| p.sample[0].location_id[1] = 9),
        "sample 0 refers to location 9, which does not exist"
    );
    assert_eq!(
        refused(|p| p.sample[1].value.truncate(1)),
        "sample 1 has 1 values, but there are 2 sample types"
    );
    assert_eq!(refused(|p| p.location[0].id = 0), "location 0 has the reserved id 0");
    assert_eq!(
        refused(|p| p.location[0].mapping_id = 5),
        "location 1 refers to mapping 5, which does not exist"
    );
    assert_eq!(
        refused(|p| p.location[0].line[0].function_id = 8),
        "location 1 refers to function 8, which does not exist"
    );
    assert_eq!(refused(|p| p.function.push(p.function[0].clone())), "two functions have the id 1");
    assert_eq!(refused(|p| p.sample_type.clear()), "there are samples, but no sample types");
    assert!(refused(|p| p.function[0].name = -1).contains("string -1"));
    assert!(refused(|p| p.sample[0].label[0].key = 999).contains("string 999"));
    assert_eq!(refused(|p| p.string_table[0] = "x".into()), "string 0 is \"x\", but must be empty");
    let empty = Profile::decode(b"").unwrap_err().to_string();
    assert_eq!(empty, "the file is empty: there is no profile in it");
    assert_eq!(Profile::decode(b"<html>").unwrap_err().kind(), ErrorKind::Wire);
}

#[test]
fn strict_readers_want_ids_in_order() {
    let mut profile = small();
    profile.location[0].id = 4;
    profile.sample[0].location_id = vec![4];
    profile.validate().unwrap();
    assert_eq!(
        profile.validate_strict().unwrap_err().to_string(),
        "the location at place 1 has the id 4"
    );
}

#[test]
fn a_bomb_is_refused_at_the_limit() {
    let bomb = |profile: &Profile| {
        let mut bomb = Vec::new();
        profile.write_to(&mut bomb).unwrap();
        assert!(bomb.len() < 1 << 18, "{} bytes", bomb.len());
        bomb
    };
    let mut limits = Limits::default();
    limits.decompressed_bytes = 1 << 20;
    limits.memory_bytes = 16 << 20;
    // Each is small as a file, and large in one more way.
    let strings = vec![String::new(); 1 << 20];
    let decompressed = bomb(&Profile { string_table: strings, ..Profile::default() });
    let labels = vec![Label::default(); 1 << 19];
    let labels = Sample { label: labels, ..Sample::default() };
    let numbers = Sample { location_id: vec![1; (2 << 20) + 1], ..Sample::default() };
    let lines = Location { id: 1, line: vec![Line::default(); 1 << 19], ..Location::default() };
    for (bomb, form) in [
        (decompressed, "1048576 bytes decompressed"),
        (
            bomb(&Profile { string_table: vec![String::new(); 1 << 18], ..Profile::default() }),
            "in memory",
        ),
        (bomb(&Profile { comment: vec![1; 3 << 20], ..Profile::default() }), "in memory"),
        (bomb(&Profile { sample: vec![labels], ..Profile::default() }), "in memory"),
        (bomb(&Profile { sample: vec![numbers], ..Profile::default() }), "in memory"),
        (bomb(&Profile { location: vec![lines], ..Profile::default() }), "in memory"),
    ] {
        if form == "in memory" {
            limits.decompressed_bytes = 4 << 20;
        }
        let error = Profile::decode_with(&bomb, &limits).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert!(error.to_string().contains(form), "{error}");
    }
}

#[test]
fn a_declared_length_costs_nothing() {
    // A sample, then a string, each declared as nearly 2^63 bytes long.
    for tag in [0x12, 0x32] {
        let bytes = [tag, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0x00];
        assert_eq!(Profile::decode(&bytes).unwrap_err().kind(), ErrorKind::Wire);
    }
    let cut = Profile::decode(&[0x1f, 0x8b, 8, 0, 0]).unwrap_err();
    assert_eq!(cut.kind(), ErrorKind::Gzip);
}

#[test]
fn a_profile_of_nothing_survives() {
    let nothing = Profile { string_table: vec![String::new()], ..Profile::default() };
    assert_eq!(Profile::decode(&Profile::default().encode()).unwrap(), nothing);
    assert_eq!(Profile::decode(&nothing.encode()).unwrap(), nothing);
}
