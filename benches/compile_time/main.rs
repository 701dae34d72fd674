//! What annotations cost the compiler: `cargo build` of a crate of 200 functions, plain and with an attribute on each, its dependencies being
//! built already; and the peers' (`--features peers`).
//!
//! `cargo bench -p pprof-benches --bench compile_time -- [debug] [release] [--rounds N]`.
//!
//! The figure is CPU time, user and system, of cargo and the compiler, without incremental compilation. Read the ratio of minima: what else
//! runs on the machine can only add.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant, SystemTime};

use pprof_benches::contender::{Contender, Figures, Group};
use pprof_benches::harness::{self, column};

/// Has eight functions to be annotated, each after a line of this.
const TEMPLATE: &str = include_str!("template.rs");
const MARK: &str = "// attribute\n";
const MODULES: usize = 25;

/// A generated package.
#[derive(Clone, Copy)]
struct Package {
    name: &'static str,
    title: &'static str,
    /// Of its manifest.
    dependency: &'static str,
    attribute: &'static str,
    /// Functions that have it.
    annotated: usize,
}

const OURS: &str =
    concat!("pprof-runtime = { path = '", env!("CARGO_MANIFEST_DIR"), "/../pprof-runtime' }");

const ALL: usize = 8 * MODULES;

const PACKAGES: &[Package] = &[
    Package { name: "plain", title: "plain", dependency: "", attribute: "", annotated: 0 },
    Package {
        name: "once",
        title: "`#[profile]` on one function",
        dependency: OURS,
        attribute: "#[pprof_runtime::profile]",
        annotated: 1,
    },
    // What a compiler takes to call a macro that hands back what it was given, and to parse that again.
    Package {
        name: "skip",
        title: "`#[profile(skip)]` on all",
        dependency: OURS,
        attribute: "#[pprof_runtime::profile(skip)]",
        annotated: ALL,
    },
    Package {
        name: "profile",
        title: "`#[profile]` on all",
        dependency: OURS,
        attribute: "#[pprof_runtime::profile]",
        annotated: ALL,
    },
    #[cfg(feature = "peers")]
    Package {
        name: "hotpath_measure",
        title: "`#[hotpath::measure]` on all",
        dependency: "hotpath = { version = '0.30', features = ['hotpath'] }",
        attribute: "#[hotpath::measure]",
        annotated: ALL,
    },
    #[cfg(feature = "peers")]
    Package {
        name: "tracing_instrument",
        title: "`#[tracing::instrument(skip_all)]` on all",
        dependency: "tracing = '0.1'",
        attribute: "#[tracing::instrument(skip_all)]",
        annotated: ALL,
    },
];

fn main() -> ExitCode {
    let groups = ["debug", "release"].map(|profile| {
        let contender = |package: &Package| {
            let package = *package;
            Contender::new(package.title, "ms", move || package.measure(profile))
        };
        let title = format!("{ALL} functions, {profile}: CPU time of cargo build");
        Group::new(profile, title, PACKAGES.iter().map(contender).collect())
    });
    harness::main(&groups, 9, print)
}

impl Package {
    fn measure(&self, profile: &str) -> Figures {
        let workspace = workspace();
        self.generate(&workspace).expect("the target directory can be written");
        // Dependencies, and what is written for the first time.
        self.build(&workspace, profile);
        let source = workspace.join(self.name).join("src/lib.rs");
        let source = fs::File::options().append(true).open(source).expect("generated");
        source.set_modified(SystemTime::now()).expect("a file of ours");
        let (cpu, start) = (children_cpu(), Instant::now());
        self.build(&workspace, profile);
        let (cpu, wall) = (children_cpu() - cpu, start.elapsed());
        let mut figures = Figures::new(cpu.as_secs_f64() * 1000.0);
        figures.extra = Some([wall.as_secs_f64() * 1000.0, 0.0, 0.0]);
        figures
    }

    fn build(&self, workspace: &Path, profile: &str) {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--package", self.name]).current_dir(workspace);
        cargo.env("CARGO_INCREMENTAL", "0").env("CARGO_TARGET_DIR", workspace.join("target"));
        if profile == "release" {
            cargo.arg("--release");
        }
        assert!(cargo.status().expect("cargo runs").success(), "{} compiles", self.name);
    }

    /// Writes what is not as it should be.
    fn generate(&self, workspace: &Path) -> std::io::Result<()> {
        let package = workspace.join(self.name);
        fs::create_dir_all(package.join("src"))?;
        let Package { name, dependency, .. } = self;
        let members: Vec<&str> = PACKAGES.iter().map(|package| package.name).collect();
        // Members have to be there, all of them.
        for other in PACKAGES.iter().filter(|other| !workspace.join(other.name).exists()) {
            other.generate(workspace)?;
        }
        write(
            &workspace.join("Cargo.toml"),
            &format!("[workspace]\nresolver = '3'\nmembers = {members:?}\n"),
        )?;
        let manifest = format!(
            "[package]\nname = '{name}'\nversion = '0.1.0'\nedition = '2024'\n\n[dependencies]\n{dependency}\n"
        );
        write(&package.join("Cargo.toml"), &manifest)?;
        let mut left = self.annotated;
        let mut root = String::new();
        for index in 0..MODULES {
            root.push_str(&format!("pub mod module_{index};\n"));
            let mut parts = TEMPLATE.split(MARK);
            let mut text = parts.next().unwrap_or_default().to_owned();
            for part in parts {
                if left > 0 {
                    left -= 1;
                    text.push_str(self.attribute);
                    text.push('\n');
                }
                text.push_str(part);
            }
            let seed = "const SEED: u64 = 0;";
            assert!(text.contains(seed) && TEMPLATE.matches(MARK).count() == 8);
            let text = text.replace(seed, &format!("const SEED: u64 = {};", index * 1000 + 17));
            write(&package.join(format!("src/module_{index}.rs")), &text)?;
        }
        write(&package.join("src/lib.rs"), &root)
    }
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if fs::read_to_string(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    fs::write(path, text)
}

/// In the target directory, with the versions of dependencies that this workspace has.
fn workspace() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let workspace = target.join("compile-time");
    fs::create_dir_all(&workspace).expect("the target directory can be written");
    let lock = workspace.join("Cargo.lock");
    if !lock.exists() {
        fs::copy(root.join("Cargo.lock"), lock).expect("the target directory can be written");
    }
    workspace
}

/// CPU time of all children that have ended.
fn children_cpu() -> Duration {
    // SAFETY: all-zero is a valid value, which the call below fills.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is a local for the call to fill.
    assert_eq!(unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage) }, 0);
    [usage.ru_utime, usage.ru_stime]
        .map(|time| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000))
        .iter()
        .sum()
}

fn print(group: &Group, rounds: usize, results: &[Vec<Figures>]) {
    println!("\n### {} ({rounds} rounds in turns)\n", group.title);
    println!(
        "| crate | CPU median | CPU min | ratio | ratio of minima | wall min | ratio of minima |"
    );
    println!("|---|---|---|---|---|---|---|");
    let wall = |figures: &Figures| figures.extra.map_or(f64::NAN, |extra| extra[0]);
    let Some(first) = results.first() else { return };
    let (base, base_wall) = (column(first, |f| f.value), column(first, wall).1);
    for (contender, figures) in group.contenders.iter().zip(results) {
        let ((median, min), wall) = (column(figures, |f| f.value), column(figures, wall).1);
        println!(
            "| {} | {median:.0} ms | {min:.0} ms | {:.3}x | {:.3}x | {wall:.0} ms | {:.3}x |",
            contender.name,
            median / base.0,
            min / base.1,
            wall / base_wall,
        );
    }
}
