//! `build`: programs for a board, without symbols, as packages of Debian, archives, bills of material and a list of sums.

mod args;
mod board;
mod compile;
mod needs;
mod package;
mod sbom;
mod staged;
mod sums;
mod target;
mod trial;
mod version;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use self::args::{Args, USAGE};
use self::board::Board;
use self::compile::Builder;
use self::needs::Needs;
use self::package::Package;
use self::staged::{Label, Staged};
use self::target::Target;
use crate::command::{self, print, say};
use crate::workspace::Workspace;

/// The member of the workspace that features are of, and that has a largest size.
const AGENT: &str = "agent";
/// A megabyte, as sizes are told.
const MB: f64 = 1e6;

/// A program that was built, and of what.
#[derive(Debug)]
struct Product<'a> {
    package: &'a Package,
    triple: &'static str,
    features: &'a [String],
    compiler: &'a str,
}

/// What became of a package.
#[derive(Debug)]
struct Made {
    package: String,
    program: String,
    is_agent: bool,
    label: Label,
    needs: Needs,
    program_mb: f64,
    deb: PathBuf,
    deb_mb: f64,
}

/// What is built for a board, and how.
#[derive(Debug)]
struct Job<'a> {
    board: Board,
    packages: Vec<Package>,
    features: Vec<String>,
    builder: Builder<'a>,
}

impl<'a> Job<'a> {
    fn new(workspace: &'a Workspace, name: &str, args: &'a Args) -> Result<Self> {
        let board = Board::load(&workspace.root, name)?;
        let names = if args.packages.is_empty() { &board.packages } else { &args.packages };
        let packages =
            names.iter().map(|name| Package::load(&workspace.root, name)).collect::<Result<_>>()?;
        let features = features(&board, args);
        let what = (board.target()?, board.glibc);
        let builder = Builder::find(workspace, what, (&args.ways, args.linker), &args.profile)?;
        Ok(Self { board, packages, features, builder })
    }

    /// Features are of the agent only.
    fn features_of(&self, member: &str) -> &[String] {
        if member == AGENT { &self.features } else { &[] }
    }

    /// Whether another job differs in its target only.
    fn is_like(&self, other: &Self) -> bool {
        let names = |it: &Self| -> Vec<_> {
            it.packages.iter().map(|package| package.name.clone()).collect()
        };
        names(self) == names(other)
            && self.features == other.features
            && self.builder.is_like(&other.builder)
    }
}

/// Builds for boards; what lies in `target/dist` afterwards is said line by line.
///
/// # Errors
/// When something does not build, or what was built does not fit its board.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<()> {
    if args.iter().any(|arg| ["--help", "-h"].contains(&arg.as_str())) {
        return print(USAGE);
    }
    let args = Args::parse(args)?;
    let jobs: Vec<_> =
        args.boards.iter().map(|name| Job::new(workspace, name, &args)).collect::<Result<_>>()?;
    build_at_once(&jobs)?;
    let mut problems = Vec::new();
    for job in &jobs {
        let done = packages_of(workspace, job, &args);
        problems.extend(done.err().map(|error| format!("{}: {error:#}", job.board.name)));
    }
    if problems.is_empty() { Ok(()) } else { bail!("{}", problems.join("\n")) }
}

/// Builds for all targets that differ in nothing else: alone, each would leave processors idle while its last crates are compiled.
fn build_at_once(jobs: &[Job<'_>]) -> Result<()> {
    let Some((first, rest)) = jobs.split_first() else { return Ok(()) };
    let alike = rest.iter().filter(|job| job.is_like(first));
    let along: Vec<_> = alike.map(|job| &job.builder).collect();
    if along.is_empty() {
        return Ok(());
    }
    for (member, packages) in by_member(&first.packages) {
        first.builder.build(&packages, first.features_of(member), &along)?;
    }
    Ok(())
}

/// Builds, packs and tries what is for one board.
fn packages_of(workspace: &Workspace, job: &Job<'_>, args: &Args) -> Result<()> {
    let (board, builder) = (&job.board, &job.builder);
    let dist = workspace.target.join("dist");
    fs::create_dir_all(&dist).context("cannot make the folder of results")?;
    let mut made = Vec::new();
    for (member, packages) in by_member(&job.packages) {
        let features = job.features_of(member);
        builder.build(&packages, features, &[])?;
        for package in packages {
            made.push(pack(builder, board, (package, features), &dist)?);
        }
    }
    let has_models = features(board, args).iter().any(|feature| feature == board::MODELS);
    for it in made.iter().filter(|it| args.is_tried && it.is_agent) {
        let scratch = workspace.target.join("dist-scratch");
        let of = (it.deb.as_path(), it.program.as_str());
        let how = (builder.is_native(), builder.is_shipped());
        trial::run((board, board.target()?), of, (&scratch, how), has_models)?;
    }
    sums::write(&dist)?;
    match &args.key {
        Some(key) => sums::sign(&dist, key, &made[0].label.version)?,
        None => say("build: SHA256SUMS is not signed: --key FILE names a secret key of minisign"),
    }
    print(&table(board, &made))
}

/// Those of the board and those of the command line, once each.
fn features(board: &Board, args: &Args) -> Vec<String> {
    let compiler = args.has_compiler.then(|| board::COMPILER.to_owned());
    let mut features: Vec<_> =
        board.features.iter().chain(&args.features).cloned().chain(compiler).collect();
    features.sort();
    features.dedup();
    features
}

/// Packages whose programs are of one member, in the order of the board.
fn by_member(packages: &[Package]) -> Vec<(&str, Vec<&Package>)> {
    let mut members: Vec<(&str, Vec<&Package>)> = Vec::new();
    for package in packages {
        match members.iter_mut().find(|(member, _)| *member == package.member) {
            Some((_, of_member)) => of_member.push(package),
            None => members.push((&package.member, vec![package])),
        }
    }
    members
}

/// Checks a program against its board, and packs it.
fn pack(
    builder: &Builder<'_>,
    board: &Board,
    (package, features): (&Package, &[String]),
    dist: &Path,
) -> Result<Made> {
    let (workspace, target, program) =
        (builder.workspace(), board.target()?, builder.program(package));
    let agent = (package.member == AGENT).then_some(features);
    let needs = Needs::of(&program)?;
    let program_mb = megabytes(&program)?;
    let limited = agent.filter(|_| builder.is_shipped());
    let size_max = limited.map(|features| board.agent_mb_max(features));
    let problems = misfits(board, target, &needs, (program_mb, size_max));
    if !problems.is_empty() {
        bail!("{} does not fit {}: {}", package.program, board.name, problems.join("; "));
    }
    let mut depends = needs.packages()?;
    depends.extend(package.depends.iter().cloned());
    let label = Label {
        version: version(workspace, &package.member)?
            + &board.version_end(agent)
            + &builder.version_end(),
        architecture: target.debian.to_owned(),
        depends,
        committed: committed(&workspace.root),
    };
    let scratch = workspace.target.join("dist-scratch");
    let staged = Staged::new(&workspace.root, package, &label, &program, &scratch)?;
    let deb = staged.deb(dist)?;
    staged.tarball(dist)?;
    let product =
        Product { package, triple: target.triple, features, compiler: builder.compiler() };
    sbom::write(workspace, &product, &dist.join(format!("{}.cdx.json", staged.stem())))?;
    Ok(Made {
        package: package.name.clone(),
        program: package.program.clone(),
        is_agent: package.member == AGENT,
        label,
        needs,
        program_mb,
        deb_mb: megabytes(&deb)?,
        deb,
    })
}

/// Why a program would be wrong on a board.
fn misfits(
    board: &Board,
    target: &Target,
    needs: &Needs,
    (mb, mb_max): (f64, Option<f64>),
) -> Vec<String> {
    let mut problems = Vec::new();
    if needs.machine != target.machine {
        problems.push(format!("it is for {}, not {}", needs.machine, target.machine));
    }
    if board.glibc < needs.glibc {
        problems.push(format!(
            "it needs C library {}, the board's systems have {}: link with --linker zig, or where an older one is installed",
            needs.glibc, board.glibc
        ));
    }
    if needs.has_symbols {
        problems.push(String::from("it has symbols: its profile does not say strip"));
    }
    if let Some(mb_max) = mb_max.filter(|mb_max| *mb_max < mb) {
        problems.push(format!("it has {mb:.1} MB, {mb_max:.1} are the most"));
    }
    problems
}

#[expect(clippy::cast_precision_loss, reason = "no file has 2^53 bytes")]
fn megabytes(file: &Path) -> Result<f64> {
    let facts = fs::metadata(file).with_context(|| file.display().to_string())?;
    Ok(facts.len() as f64 / MB)
}

/// The version of a member.
fn version(workspace: &Workspace, member: &str) -> Result<String> {
    let text = |package: &Value, key: &str| package.get(key)?.as_str().map(str::to_owned);
    let found = workspace.packages().find(|it| text(it, "name").as_deref() == Some(member));
    found.and_then(|it| text(it, "version")).with_context(|| format!("{member} has no version"))
}

/// When the sources were committed, in seconds since 1970; 0 where nobody knows, so that results do not depend on when they were built.
fn committed(root: &Path) -> u64 {
    let mut git = Command::new("git");
    let time = command::output(git.current_dir(root).args(["log", "-1", "--format=%ct"]));
    time.ok().and_then(|time| time.trim().parse().ok()).unwrap_or(0)
}

fn table(board: &Board, made: &[Made]) -> String {
    let head = format!(
        "{:<20} {:<16} {:<6} {:>10} {:>8} {:>6}",
        "package", "version", "arch", "program MB", ".deb MB", "glibc"
    );
    let line = |it: &Made| {
        let (label, glibc) = (&it.label, it.needs.glibc.to_string());
        format!(
            "{:<20} {:<16} {:<6} {:>10.2} {:>8.2} {glibc:>6}",
            it.package, label.version, label.architecture, it.program_mb, it.deb_mb,
        )
    };
    let mut lines = vec![format!("{}: {}", board.name, board.about), head];
    lines.extend(made.iter().map(line));
    lines.extend(made.iter().map(|it| it.deb.display().to_string()));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests;
