//! The verbs that the agent starts itself with: nobody else has a use for them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn agent() -> Command {
    Command::new(env!("CARGO_BIN_EXE_starbelt-agent"))
}

#[test]
fn they_are_not_in_the_help() {
    let output = agent().arg("--help").output().expect("it starts");
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        help.contains("config")
            && !help.contains("compile-module")
            && !help.contains("run-functions")
            && help.contains("doctor"),
        "{help}"
    );
}

#[test]
fn without_a_job_nothing_is_compiled() {
    let mut compile = agent();
    compile.arg("compile-module").stdin(Stdio::null());
    let output = compile.output().expect("it starts");
    assert_eq!(output.status.code(), Some(71), "{output:?}");
    assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{output:?}");
}

#[test]
fn without_an_agent_nothing_is_run() {
    let mut run = agent();
    run.arg("run-functions").stdin(Stdio::null());
    let output = run.output().expect("it starts");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

/// A configuration in `dir` whose functions run there.
fn configuration(dir: &Path, isolation: &str) -> PathBuf {
    let file = dir.join("agent.toml");
    let text = format!(
        "version = 1\n[node]\nname = \"n\"\nkind = \"edge\"\nfleet = \"f\"\n[capacity]\nmilli_cpu = 1000\n\
         memory_mib = 256\n[store]\ndir = \"state\"\n[functions]\nisolation = \"{isolation}\"\n"
    );
    std::fs::write(&file, text).expect("there is room");
    file
}

#[test]
fn the_doctor_says_of_each_measure_whether_it_is_in_force() {
    let dir = tempfile::tempdir().expect("there is room");
    let mut doctor = agent();
    doctor.arg("doctor").arg("--config").arg(configuration(dir.path(), "process"));
    let output = doctor.output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(said.starts_with("kernel: Linux "), "{said}");
    let measures = [
        "no new privileges",
        "capabilities",
        "limits",
        "not dumpable",
        "Landlock",
        "seccomp",
        "cgroup",
    ];
    for measure in measures {
        let line = said.lines().find_map(|line| line.strip_prefix(&format!("{measure}: ")));
        let line = line.unwrap_or_else(|| panic!("{measure} is not in\n{said}"));
        // What is missing has a reason and a remedy.
        assert!(
            line.starts_with("in force (")
                || (line.starts_with("missing (") && line.contains("); ")),
            "{line}"
        );
    }
    assert!(said.contains("\nposition: none: "), "{said}");
    assert!(said.contains("\ncpu-reference: in use (the processor)\n"), "{said}");
    assert!(!dir.path().join("state").exists(), "it changes nothing");
}

#[test]
fn the_doctor_says_where_the_node_is_and_what_a_program_lacks() {
    let dir = tempfile::tempdir().expect("there is room");
    let file = configuration(dir.path(), "none");
    let run = |more: &str| {
        let text = std::fs::read_to_string(&file).expect("it was written") + more;
        let file = dir.path().join("more.toml");
        std::fs::write(&file, text).expect("there is room");
        let output = agent().arg("doctor").arg("--config").arg(file).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success(), said + &String::from_utf8_lossy(&output.stderr))
    };
    let (is_well, said) = run("[place]\nlat_deg = 48.2\nlon_deg = 16.4\nalt_km = 0.2\n");
    assert!(is_well, "{said}");
    let place = "position: 48.2 deg north, 16.4 deg east, 0.2 km up, from [place]";
    assert!(said.contains(place), "{said}");
    let program = "[[inference.program]]\nname = \"x\"\nprogram = \"/none\"\nmemory_mib = 1\nmilli_cpu = 1\ngpu_memory_mib = 1\n\
                   probe_input = \"i\"\nprobe_output = \"o\"\n";
    let (is_well, said) = run(program);
    assert!(
        !is_well && said.contains("inference.program \"x\": program /none is no file"),
        "{said}"
    );
}

#[test]
fn the_doctor_says_that_there_is_no_runner() {
    let dir = tempfile::tempdir().expect("there is room");
    let mut doctor = agent();
    doctor.arg("doctor").arg("--config").arg(configuration(dir.path(), "none"));
    let output = doctor.output().expect("it starts");
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("functions run in the agent (functions.isolation = \"none\")"), "{said}");
}
