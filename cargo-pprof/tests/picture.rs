//! Pictures of graphs: what is drawn is legible, and as tidy as what Graphviz draws.

use std::io::{Cursor, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use cargo_pprof::driver::Ui;
use pprof_format::{Builder, LabelValue, NewFunction, NewLabel, NewLine};

struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % bound
    }
}

/// What a program is like whose profile is made up.
#[derive(Clone, Copy, Debug)]
struct Program {
    seed: u64,
    functions: u64,
    /// Of a hundred calls, those that go back to any function at all.
    wild: u64,
    has_labels: bool,
}

const PROGRAM: Program = Program { seed: 1, functions: 90, wild: 0, has_labels: false };

/// Functions call a few of those after them, the next ones most.
fn profile(program: Program) -> Vec<u8> {
    let mut numbers = Numbers(program.seed);
    let mut builder = Builder::new();
    builder.sample_type("cpu", "nanoseconds");
    let locations: Vec<_> = (0..program.functions)
        .map(|n| {
            let name = format!("app::part{}::Thing{}::work{n}", n % 7, n % 3);
            let function = builder.function(&NewFunction { name: &name, ..NewFunction::default() });
            builder.location(None, 0, &[NewLine { function, line: 1, column: 0 }])
        })
        .collect();
    let callees: Vec<Vec<u64>> = (0..program.functions)
        .map(|caller| {
            let count = 1 + numbers.below(4);
            (0..count)
                .map(|_| match numbers.below(100) < program.wild {
                    true => numbers.below(program.functions),
                    false => {
                        let ahead = 1 + numbers.below(12) * numbers.below(12) / 8;
                        (caller + ahead).min(program.functions - 1)
                    }
                })
                .collect()
        })
        .collect();
    for _ in 0..program.functions * 30 {
        let mut at = numbers.below(4);
        let mut stack = vec![locations[at as usize]];
        while numbers.below(9) != 0 && stack.len() < 60 {
            let next = &callees[at as usize];
            at = next[(numbers.below(next.len() as u64) * numbers.below(2)) as usize];
            stack.push(locations[at as usize]);
        }
        stack.reverse();
        let value =
            NewLabel { key: "handler", value: LabelValue::Str(["a", "b", "c"][at as usize % 3]) };
        let labels = if program.has_labels { &[value][..] } else { &[] };
        builder.sample(&stack, &[10_000_000 * (1 + numbers.below(9) as i64)], labels);
    }
    builder.build().expect("whole").encode()
}

fn run(words: &[&str], profile: &[u8]) -> Vec<u8> {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("profile.pb");
    std::fs::write(&file, profile).expect("a directory of ours");
    let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    words.push(file.to_str().expect("of letters").to_owned());
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut ui = Ui { out: &mut out, err: &mut err, is_terminal: false };
    let code = cargo_pprof::run(&words, &mut Cursor::new(""), &mut ui);
    assert_eq!(code, 0, "{}", String::from_utf8_lossy(&err));
    out
}

type Point = (f64, f64);

/// Left, top, right, bottom.
#[derive(Clone, Copy, Debug)]
struct Area(f64, f64, f64, f64);

impl Area {
    fn around(points: &[Point]) -> Area {
        let mut area = Area(f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY);
        for (x, y) in points {
            area.0 = area.0.min(*x);
            area.1 = area.1.min(*y);
            area.2 = area.2.max(*x);
            area.3 = area.3.max(*y);
        }
        area
    }

    fn meets(self, other: Area) -> bool {
        self.0 < other.2 && other.0 < self.2 && self.1 < other.3 && other.1 < self.3
    }

    fn shrunk(self, by: f64) -> Area {
        Area(self.0 + by, self.1 + by, self.2 - by, self.3 - by)
    }

    fn has(self, (x, y): Point) -> bool {
        (self.0..=self.2).contains(&x) && (self.1..=self.3).contains(&y)
    }
}

#[derive(Debug, Default)]
struct Seen {
    boxes: Vec<Area>,
    /// Lines of labels of arrows.
    labels: Vec<Area>,
    /// Lines of labels of boxes, and of which.
    inside: Vec<(Area, usize)>,
    arrows: Vec<Arrow>,
}

#[derive(Debug)]
struct Arrow {
    title: String,
    width: f64,
    /// Along the curve, to the tip of the head.
    points: Vec<Point>,
    /// Around each so many of them.
    pieces: Vec<Area>,
}

const PIECE: usize = 12;

impl Arrow {
    fn meets(&self, area: Area) -> bool {
        let pieces = self.pieces.iter().zip(self.points.chunks(PIECE));
        let mut near = pieces.filter(|(around, _)| around.meets(area));
        near.any(|(_, points)| points.iter().any(|point| area.has(*point)))
    }
}

/// What stands in an SVG of ours.
fn seen(svg: &str) -> Seen {
    let mut seen = Seen::default();
    for line in svg.lines().filter(|line| line.starts_with("<g class=")) {
        let paths: Vec<&str> = line.split("<path ").skip(1).collect();
        let texts: Vec<Area> = line.split("<text ").skip(1).map(text_area).collect();
        if line.starts_with("<g class=\"box\"") {
            let front = attribute(paths[0], "d").split('z').next().expect("a part");
            seen.boxes.push(Area::around(&points(front)));
            let number = seen.boxes.len() - 1;
            seen.inside.extend(texts.into_iter().map(|area| (area, number)));
        } else {
            let head = points(attribute(paths[1], "d"));
            let mut along = sampled(&points(attribute(paths[0], "d")));
            along.push(head[0]);
            seen.labels.extend(texts);
            seen.arrows.push(Arrow {
                title: between(line, "<title>", "</title>").to_owned(),
                width: attribute(paths[0], "stroke-width").parse().expect("a number"),
                pieces: along.chunks(PIECE).map(Area::around).collect(),
                points: along,
            });
        }
    }
    seen
}

fn between<'t>(text: &'t str, start: &str, end: &str) -> &'t str {
    let rest = text.split_once(start).expect(start).1;
    rest.split_once(end).expect(end).0
}

fn attribute<'t>(element: &'t str, name: &str) -> &'t str {
    between(element, &format!("{name}=\""), "\"")
}

fn points(path: &str) -> Vec<Point> {
    let numbers = path.split(|c: char| c == ' ' || c.is_ascii_alphabetic());
    let numbers: Vec<f64> =
        numbers.filter(|n| !n.is_empty()).map(|n| n.parse().expect("a number")).collect();
    numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
}

fn text_area(element: &str) -> Area {
    let number = |name| attribute(element, name).parse::<f64>().expect("a number");
    let (x, y, size) = (number("x"), number("y"), number("font-size"));
    // Letters like `g` and `M`.
    Area(x, y - 0.72 * size, x + number("textLength"), y + 0.21 * size)
}

/// Points along cubic curves.
fn sampled(curve: &[Point]) -> Vec<Point> {
    let mut points = vec![curve[0]];
    for piece in 0..curve.len() / 3 {
        let [a, b, c, d] = [0, 1, 2, 3].map(|n| curve[piece * 3 + n]);
        for step in 1..=12 {
            let t = f64::from(step) / 12.0;
            let s = 1.0 - t;
            let mix = |a: f64, b: f64, c: f64, d: f64| {
                s * s * s * a + 3.0 * s * s * t * b + 3.0 * s * t * t * c + t * t * t * d
            };
            points.push((mix(a.0, b.0, c.0, d.0), mix(a.1, b.1, c.1, d.1)));
        }
    }
    points
}

/// How often curves cross. Where both start or end it does not count: there they come together.
fn crossings(curves: &[Vec<Point>]) -> usize {
    const NEAR: f64 = 15.0;
    let pieces: Vec<Vec<(Area, &[Point])>> = curves
        .iter()
        .map(|curve| {
            let starts = (0..curve.len().saturating_sub(1)).step_by(PIECE);
            let pieces = starts.map(|start| &curve[start..(start + PIECE + 1).min(curve.len())]);
            pieces.map(|piece| (Area::around(piece), piece)).collect()
        })
        .collect();
    let is_near_end = |curve: &[Point], at: Point| {
        let near = |end: &Point| (end.0 - at.0).hypot(end.1 - at.1) < NEAR;
        curve.first().is_some_and(near) || curve.last().is_some_and(near)
    };
    let mut count = 0;
    for (one, a) in curves.iter().zip(&pieces).enumerate().map(|(n, (_, a))| (n, a)) {
        for (other, b) in pieces.iter().enumerate().skip(one + 1) {
            for (area_a, piece_a) in a {
                for (area_b, piece_b) in b {
                    if !area_a.meets(*area_b) {
                        continue;
                    }
                    for a in piece_a.windows(2) {
                        for b in piece_b.windows(2) {
                            if let Some(at) = crossing(a, b) {
                                let ends =
                                    [one, other].iter().all(|n| is_near_end(&curves[*n], at));
                                count += usize::from(!ends);
                            }
                        }
                    }
                }
            }
        }
    }
    count
}

fn crossing(a: &[Point], b: &[Point]) -> Option<Point> {
    let (u, v) = ((a[1].0 - a[0].0, a[1].1 - a[0].1), (b[1].0 - b[0].0, b[1].1 - b[0].1));
    let cross = u.0 * v.1 - u.1 * v.0;
    let between = (b[0].0 - a[0].0, b[0].1 - a[0].1);
    let s = (between.0 * v.1 - between.1 * v.0) / cross;
    let t = (between.0 * u.1 - between.1 * u.0) / cross;
    let is_inside = |part: f64| (0.0..1.0).contains(&part);
    (is_inside(s) && is_inside(t)).then(|| (a[0].0 + s * u.0, a[0].1 + s * u.1))
}

/// What Graphviz makes of the same graph: curves in points, and the size.
fn by_graphviz(dot: &[u8]) -> (Vec<Vec<Point>>, Point) {
    let child = Command::new("dot")
        .arg("-Tplain")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("dot, which tests compare with: install Graphviz, or use tests/run");
    child.stdin.as_ref().expect("piped").write_all(dot).expect("it reads all before it writes");
    let plain = child.wait_with_output().expect("it ends").stdout;
    let plain = String::from_utf8(plain).expect("text");
    let (mut curves, mut size) = (Vec::new(), (0.0, 0.0));
    for line in plain.replace("\\\n", "").lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |word: &str| 72.0 * word.parse::<f64>().expect("a number");
        match words[0] {
            "graph" => size = (number(words[2]), number(words[3])),
            "edge" => {
                let count: usize = words[3].parse().expect("a number");
                let numbers: Vec<f64> = words[4..4 + 2 * count].iter().map(|w| number(w)).collect();
                let curve: Vec<Point> = numbers.chunks(2).map(|pair| (pair[0], pair[1])).collect();
                curves.push(sampled(&curve));
            }
            _ => {}
        }
    }
    (curves, size)
}

/// Nothing lies on anything that it should not.
fn assert_legible(seen: &Seen) {
    for (number, area) in seen.boxes.iter().enumerate() {
        for other in &seen.boxes[number + 1..] {
            assert!(!area.shrunk(0.1).meets(*other), "boxes {area:?} and {other:?}");
        }
    }
    for (number, area) in seen.labels.iter().enumerate() {
        for other in seen.labels[number + 1..].iter().chain(&seen.boxes) {
            assert!(!area.shrunk(0.1).meets(*other), "label {area:?} and {other:?}");
        }
        for arrow in &seen.arrows {
            let on = arrow.meets(area.shrunk(0.1));
            assert!(!on, "{} runs through the label {area:?}", arrow.title);
        }
    }
    for (area, number) in &seen.inside {
        let around = seen.boxes[*number];
        let is_inside = around.has((area.0, area.1)) && around.has((area.2, area.3));
        assert!(is_inside, "text {area:?} leaves {around:?}");
    }
    for arrow in &seen.arrows {
        let Arrow { title, points, .. } = arrow;
        for area in &seen.boxes {
            assert!(!arrow.meets(area.shrunk(0.2)), "{title} runs through the box {area:?}");
        }
        for end in [points[0], points[points.len() - 1]] {
            let touches = |area: &&Area| area.shrunk(-0.2).has(end);
            assert_eq!(seen.boxes.iter().filter(touches).count(), 1, "{title} ends at {end:?}");
        }
    }
}

const PROGRAMS: [Program; 8] = [
    PROGRAM,
    Program { seed: 2, ..PROGRAM },
    Program { seed: 3, wild: 5, ..PROGRAM },
    Program { seed: 4, wild: 15, ..PROGRAM },
    Program { seed: 5, has_labels: true, ..PROGRAM },
    Program { seed: 6, wild: 8, has_labels: true, ..PROGRAM },
    Program { seed: 7, functions: 40, wild: 30, ..PROGRAM },
    Program { seed: 8, functions: 160, wild: 2, ..PROGRAM },
];

fn picture(profile: &[u8]) -> Seen {
    seen(std::str::from_utf8(&run(&["-svg"], profile)).expect("text"))
}

/// `PICTURES` may name a directory with more profiles; what is measured is printed.
#[test]
fn pictures_are_as_tidy_as_those_of_graphviz() {
    let mut profiles: Vec<(String, Vec<u8>)> =
        PROGRAMS.map(|program| (format!("{program:?}"), profile(program))).to_vec();
    if let Some(directory) = std::env::var_os("PICTURES") {
        let files = std::fs::read_dir(Path::new(&directory)).expect("a directory");
        let mut files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
        files.sort();
        let read = |file: &std::path::PathBuf| std::fs::read(file).expect("a file");
        profiles.extend(files.iter().map(|file| (file.display().to_string(), read(file))));
    }
    let (mut ours, mut of_graphviz) = (0, 0);
    for (name, profile) in profiles {
        let start = std::time::Instant::now();
        let svg = run(&["-svg"], &profile);
        let took = start.elapsed();
        let svg = std::str::from_utf8(&svg).expect("text");
        let seen = seen(svg);
        let curves: Vec<Vec<Point>> =
            seen.arrows.iter().map(|arrow| arrow.points.clone()).collect();
        let (theirs, size) = by_graphviz(&run(&["-dot"], &profile));
        let counts = (crossings(&curves), crossings(&theirs));
        println!(
            "{counts:?} crossings, {} by {} and {:.0} by {:.0} points, {took:?}: {name}",
            attribute(svg, "width"),
            attribute(svg, "height"),
            size.0,
            size.1,
        );
        assert_legible(&seen);
        assert_eq!(curves.len(), theirs.len());
        ours += counts.0;
        of_graphviz += counts.1;
    }
    println!("{ours} and {of_graphviz} crossings in all");
    assert!(ours * 10 <= of_graphviz * 11, "{ours} crossings, Graphviz has {of_graphviz}");
}

/// A profile of these stacks, root first, and their values.
fn stacks(stacks: &[(&[&str], i64)]) -> Vec<u8> {
    let mut builder = Builder::new();
    builder.sample_type("calls", "count");
    for (stack, value) in stacks {
        let frames = stack.iter().rev().map(|name| {
            let function =
                builder.function(&NewFunction { name, system_name: "x", ..NewFunction::default() });
            builder.location(None, 0, &[NewLine { function, line: 1, column: 0 }])
        });
        let frames: Vec<_> = frames.collect();
        builder.sample(&frames, &[*value], &[]);
    }
    builder.build().expect("whole").encode()
}

fn goes_down(arrow: &Arrow) -> bool {
    arrow.points[0].1 < arrow.points[arrow.points.len() - 1].1
}

#[test]
fn calls_go_down() {
    for program in PROGRAMS {
        for arrow in picture(&profile(program)).arrows {
            let is_recursive = program.wild > 0 && arrow.width < 2.0;
            assert!(goes_down(&arrow) || is_recursive, "{}, {program:?}", arrow.title);
        }
    }
    let both = stacks(&[(&["main", "b"], 1), (&["b", "a"], 5), (&["a", "b"], 40)]);
    for arrow in picture(&both).arrows {
        assert_eq!(goes_down(&arrow), !arrow.title.starts_with("b -&gt; a"), "{}", arrow.title);
    }
}

#[test]
fn names_may_be_anything() {
    let long = "x".repeat(10_000);
    let names = [
        "a \"quoted\" <T as U>::f & 'g'",
        "back\\slash\\n\\",
        "two\nlines\r\n",
        "]]>--></text>",
        "Привет::мир",
        "函数::🦀🔥",
        "e\u{301}\u{200d}\u{0}\u{7f}\u{85}",
        "",
        "::",
        " ",
        &long,
    ];
    let samples: Vec<[&str; 3]> = names.iter().map(|name| ["main", name, "leaf"]).collect();
    let samples: Vec<(&[&str], i64)> = samples.iter().map(|stack| (&stack[..], 7)).collect();
    let profile = stacks(&samples);
    let seen = picture(&profile);
    assert_legible(&seen);
    assert!(seen.boxes.len() > names.len());
    let svg = String::from_utf8(run(&["-svg"], &profile)).expect("text");
    assert!(svg.contains("a &quot;quoted&quot; &lt;T as U&gt;"));
    assert!(svg.contains(">мир<"));
    for format in ["-png", "-pdf"] {
        assert_eq!(run(&[format], &profile), run(&[format], &profile));
    }
}

#[test]
fn graphs_may_have_any_size() {
    let nothing = stacks(&[]);
    assert_eq!(picture(&nothing).boxes.len(), 1, "the legend");
    let one = stacks(&[(&["main"], 1)]);
    assert_eq!(picture(&one).boxes.len(), 2);
    let large = profile(Program { functions: 600, wild: 3, ..PROGRAM });
    let svg = run(&["-svg", "-nodecount=0", "-nodefraction=0", "-edgefraction=0"], &large);
    let seen = seen(std::str::from_utf8(&svg).expect("text"));
    assert!(seen.boxes.len() > 450, "{}", seen.boxes.len());
    assert_legible(&seen);
    for profile in [nothing, one] {
        for format in ["-png", "-pdf"] {
            assert!(run(&[format], &profile).len() > 500);
        }
    }
}

#[test]
fn what_hangs_together_is_put_side_by_side() {
    let names: Vec<[String; 2]> =
        (0..40).map(|n| [format!("root{n}"), format!("leaf{n}")]).collect();
    let words: Vec<[&str; 2]> = names.iter().map(|pair| [&*pair[0], &*pair[1]]).collect();
    let samples: Vec<(&[&str], i64)> = words.iter().map(|stack| (&stack[..], 3)).collect();
    let profile = stacks(&samples);
    assert_legible(&picture(&profile));
    let svg = String::from_utf8(run(&["-svg"], &profile)).expect("text");
    let side = |name| attribute(&svg, name).parse::<f64>().expect("a number");
    let aspect = side("width") / side("height");
    assert!((0.5..4.0).contains(&aspect), "{aspect}");
}

#[test]
fn images_are_whole() {
    let profile = profile(PROGRAM);
    let png = run(&["-png"], &profile);
    assert_eq!(png, run(&["-png"], &profile));
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n") && png.ends_with(b"IEND\xaeB`\x82"));
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().expect("four")) as usize;
    let (width, height) = (number(16), number(20));
    assert_eq!(&png[37..41], b"IDAT");
    let packed = &png[41..41 + number(33)];
    let mut pixels = Vec::new();
    flate2::read::ZlibDecoder::new(packed).read_to_end(&mut pixels).expect("packed");
    assert_eq!(pixels.len(), height * (1 + 3 * width));
    let dark = pixels.chunks(1 + 3 * width).flat_map(|row| row[1..].iter()).filter(|c| **c < 99);
    assert!(dark.count() > 10_000, "there are letters");

    let pdf = run(&["-pdf"], &profile);
    assert_eq!(pdf, run(&["-pdf"], &profile));
    assert!(pdf.starts_with(b"%PDF-") && pdf.ends_with(b"%%EOF"));
    assert_eq!(run(&["-svg"], &profile), run(&["-svg"], &profile));
}

#[test]
fn graphviz_draws_when_asked() {
    let profile = profile(PROGRAM);
    let svg = String::from_utf8(run(&["-svg", "-graphviz"], &profile)).expect("text");
    assert!(svg.contains("Generated by graphviz"));
    assert!(run(&["-gif"], &profile).starts_with(b"GIF8"));
}

#[test]
fn arrows_to_what_is_left_out_are_not_drawn() {
    // What `a` has cancels out: it is no box, and the calls to it are there.
    let profile = stacks(&[(&["main", "b", "a"], 7), (&["main", "c", "a"], -7), (&["main"], 1)]);
    let dot = String::from_utf8(run(&["-dot"], &profile)).expect("text");
    assert_eq!(dot.matches("-> N0 ").count(), 2, "{dot}");
    let seen = picture(&profile);
    // Three of functions and the legend.
    assert_eq!((seen.boxes.len(), seen.arrows.len()), (4, 2));
}
