//! The published scenario of HyperDrive as files: nodes, positions, links of one size, and the workload of all sizes in the folder above.

use std::path::{Path, PathBuf};

use placement::NodeView;
use placement::heat::Heat;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use types::{Arch, Capacity, Geodetic, MiB, MilliCpu, NodeId, NodeKind};

/// Most bytes of a file: ten times the positions of the largest size.
const BYTES_MAX: u64 = 32 << 20;
/// Bytes of the position of a satellite: three numbers.
const POSITION_BYTES: usize = 12;

/// Why a fixture cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FixtureError {
    /// A file that cannot be read.
    #[error("{} cannot be read: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file that breaks a rule.
    #[error("{}: {rule}", file.display())]
    Rule {
        /// The file.
        file: PathBuf,
        /// Where, what was found, and what must be there.
        rule: String,
    },
}

/// A scenario of one size.
#[derive(Debug)]
pub struct Fixture {
    /// The nodes: satellites, edge, ground stations, as numbered in the files.
    pub nodes: Vec<NodeView>,
    /// How the boards of satellites heat up in the published model, by node.
    pub heat: Vec<Option<Heat>>,
    /// Where nodes on the ground are, by node; `None` for satellites.
    pub ground: Vec<Option<Geodetic>>,
    /// How many of the nodes, the first ones, are satellites.
    pub satellites: usize,
    /// Links between satellites, by number.
    pub links: Vec<(u32, u32)>,
    /// By minute and satellite.
    pub positions: Vec<Vec<Geodetic>>,
    /// What is to be placed.
    pub workload: Workload,
}

/// What is to be placed, as in `workload.json`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Workload {
    /// From one minute to the next, seconds.
    pub minute_step_s: f64,
    /// How many positions are given.
    pub minutes: usize,
    /// How many workflows there are, each from a drone of its own.
    pub workflows: usize,
    /// The tasks of each.
    pub tasks: Vec<TaskSpec>,
    /// Which satellite holds the data of a workflow.
    pub eo_choice: EoChoice,
}

/// A task of the workload.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct TaskSpec {
    /// Its name.
    pub name: String,
    /// The task before it.
    pub predecessor: Option<String>,
    /// What can run it.
    pub cpu_archs: Vec<ArchName>,
    /// Processor that it is promised.
    pub milli_cpu: u32,
    /// Memory that it is promised.
    pub memory_mib: u32,
    /// How long it runs, ms.
    pub exec_ms: ExecMs,
    /// Longest latency from its predecessor, ms.
    pub pred_latency_slo_ms: Option<f64>,
    /// Longest latency from the satellite that holds the data, ms.
    pub data_latency_slo_ms: Option<f64>,
    /// When it is placed; absent for one that is put on its drone.
    pub minute: Option<Minute>,
}

/// A processor, as the files call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArchName {
    /// 64-bit ARM.
    Arm64,
    /// 64-bit x86.
    #[serde(rename = "x86_64")]
    X86,
}

impl From<ArchName> for Arch {
    fn from(name: ArchName) -> Self {
        match name {
            ArchName::Arm64 => Self::Arm64,
            ArchName::X86 => Self::X86_64,
        }
    }
}

/// How long a task runs, ms; absent where that is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
pub struct ExecMs {
    /// On 64-bit ARM.
    pub arm64: Option<f64>,
    /// On 64-bit x86.
    pub x86_64: Option<f64>,
}

/// The minute at which a task of workflow k is placed: `first + every·k`, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Minute {
    /// That of workflow 0.
    pub first: u32,
    /// From one workflow to the next.
    pub every: u32,
}

/// Which satellite holds the data of a workflow: the last of the first so many that are near its drone.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct EoChoice {
    /// How far its sub-point may be from the drone, km along the ground.
    pub radius_km: f64,
    /// How many are looked at.
    pub max: usize,
}

impl TryFrom<String> for Minute {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let rule = || format!("minute {text:?} must be of the form \"2 + 8 k\"");
        let (first, every) = text.split_once('+').ok_or_else(rule)?;
        let every = every.trim().strip_suffix('k').ok_or_else(rule)?;
        let number = |text: &str| text.trim().parse().ok();
        let both = number(first).zip(number(every));
        both.map(|(first, every)| Self { first, every }).ok_or_else(rule)
    }
}

impl Minute {
    /// The minute of a workflow, counted from 1.
    pub fn of(self, workflow: usize) -> u32 {
        let workflow = u32::try_from(workflow).unwrap_or(u32::MAX);
        self.first.saturating_add(self.every.saturating_mul(workflow))
    }
}

/// A row of `nodes.csv`.
#[derive(Debug, Deserialize)]
struct NodeRow {
    id: usize,
    name: String,
    kind: RowKind,
    lat_deg: Option<f64>,
    lon_deg: Option<f64>,
    cpu_arch: ArchName,
    milli_cpu: u32,
    memory_mib: u32,
    temperature_c: Option<f64>,
    max_temp_c: Option<f64>,
    recommended_temp_c: Option<f64>,
    temp_inc_c_per_cpu_min: Option<f64>,
    radiated_c_per_min: Option<f64>,
    mocked_base_temp_c: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RowKind {
    Satellite,
    Edge,
    Ground,
}

/// A row of `links.csv`.
#[derive(Debug, Deserialize)]
struct LinkRow {
    a: u32,
    b: u32,
}

impl Fixture {
    /// Reads the folder of one size, and the workload from the folder above.
    ///
    /// # Errors
    /// [`FixtureError`] for the first file that cannot be read or breaks a rule.
    pub fn load(dir: &Path) -> Result<Self, FixtureError> {
        let above = dir.canonicalize().map_err(|source| read_error(dir, source))?;
        let workload_file = above.parent().unwrap_or(dir).join("workload.json");
        let workload: Workload = serde_json::from_slice(&read(&workload_file)?)
            .map_err(|error| rule(&workload_file, error.to_string()))?;
        check_workload(&workload).map_err(|broken| rule(&workload_file, broken))?;

        let file = dir.join("nodes.csv");
        let rows: Vec<NodeRow> = csv_rows(&file)?;
        let satellites = rows.iter().take_while(|row| row.kind == RowKind::Satellite).count();
        check_rows(&rows, satellites, workload.workflows).map_err(|broken| rule(&file, broken))?;
        let nodes = rows.iter().map(node).collect::<Result<_, _>>();
        let ground = rows.iter().map(place).collect::<Result<_, _>>();

        Ok(Self {
            nodes: nodes.map_err(|broken| rule(&file, broken))?,
            heat: rows.iter().map(heat).collect(),
            ground: ground.map_err(|broken| rule(&file, broken))?,
            satellites,
            links: links(&dir.join("links.csv"), satellites)?,
            positions: positions(&dir.join("positions.i32le"), workload.minutes, satellites)?,
            workload,
        })
    }
}

fn read_error(file: &Path, source: std::io::Error) -> FixtureError {
    FixtureError::Read { file: file.to_owned(), source }
}

fn rule(file: &Path, rule: String) -> FixtureError {
    FixtureError::Rule { file: file.to_owned(), rule }
}

fn read(file: &Path) -> Result<Vec<u8>, FixtureError> {
    let failed = |source| read_error(file, source);
    let bytes = std::fs::metadata(file).map_err(failed)?.len();
    if BYTES_MAX < bytes {
        return Err(rule(
            file,
            format!("{bytes} bytes are more than {BYTES_MAX}, the most that are read"),
        ));
    }
    std::fs::read(file).map_err(failed)
}

fn csv_rows<T: DeserializeOwned>(file: &Path) -> Result<Vec<T>, FixtureError> {
    let bytes = read(file)?;
    let rows = csv::Reader::from_reader(bytes.as_slice()).into_deserialize();
    rows.collect::<Result<_, csv::Error>>().map_err(|error| rule(file, error.to_string()))
}

fn check_workload(workload: &Workload) -> Result<(), String> {
    if workload.minute_step_s <= 0.0 || !workload.minute_step_s.is_finite() {
        return Err(format!("minute_step_s {} must be above 0", workload.minute_step_s));
    }
    for (at, task) in workload.tasks.iter().enumerate() {
        let before = &workload.tasks[..at];
        if let Some(name) =
            task.predecessor.as_ref().filter(|name| before.iter().all(|t| t.name != **name))
        {
            return Err(format!("task {}: predecessor {name} must be a task before it", task.name));
        }
        let Some(minute) = task.minute else { continue };
        let last = minute.of(workload.workflows.saturating_sub(1));
        if minute.first == 0 || workload.minutes < last as usize {
            let minutes = workload.minutes;
            return Err(format!(
                "task {}: minutes 1 to {minutes} are given, it wants {} to {last}",
                task.name, minute.first
            ));
        }
        check_run(workload, task, last)?;
    }
    Ok(())
}

/// The sky must be given for all of a run that begins at a minute, on whatever runs it.
fn check_run(workload: &Workload, task: &TaskSpec, last: u32) -> Result<(), String> {
    let times_ms = [task.exec_ms.arm64, task.exec_ms.x86_64].into_iter().flatten();
    for exec_ms in times_ms {
        if !exec_ms.is_finite() || exec_ms < 0.0 {
            return Err(format!("task {}: exec_ms {exec_ms} must be 0 or more", task.name));
        }
        let end = f64::from(last) + (exec_ms / 1000.0 / workload.minute_step_s).ceil();
        let given = f64::from(u32::try_from(workload.minutes).unwrap_or(u32::MAX));
        if given < end {
            return Err(format!(
                "task {}: minutes 1 to {given} are given, its last run ends at {end}",
                task.name
            ));
        }
    }
    Ok(())
}

fn check_rows(rows: &[NodeRow], satellites: usize, workflows: usize) -> Result<(), String> {
    if let Some((at, row)) = rows.iter().enumerate().find(|(at, row)| row.id != *at) {
        return Err(format!("row {at}: id {} must be {at}", row.id));
    }
    let drones = rows.get(satellites..satellites + workflows).unwrap_or_default();
    if drones.len() < workflows || drones.iter().any(|row| row.kind != RowKind::Edge) {
        return Err(format!(
            "after {satellites} satellites there must be {workflows} drones of kind edge"
        ));
    }
    Ok(())
}

fn node(row: &NodeRow) -> Result<NodeView, String> {
    let id = NodeId::new(&row.name.to_lowercase())
        .map_err(|error| format!("row {}: {error}", row.id))?;
    let kind = match row.kind {
        RowKind::Satellite => NodeKind::Satellite,
        RowKind::Edge => NodeKind::Edge,
        RowKind::Ground => NodeKind::GroundStation,
    };
    let capacity = Capacity { milli_cpu: MilliCpu(row.milli_cpu), memory_mib: MiB(row.memory_mib) };
    Ok(NodeView::new(id, kind, row.cpu_arch.into(), capacity))
}

fn heat(row: &NodeRow) -> Option<Heat> {
    Some(Heat {
        start_c: row.temperature_c?,
        max_c: row.max_temp_c?,
        recommended_c: row.recommended_temp_c?,
        rise_c_min: row.temp_inc_c_per_cpu_min?,
        radiated_c_min: row.radiated_c_per_min?,
        orbit_base_c: row.mocked_base_temp_c?,
    })
}

/// Where a node on the ground is.
fn place(row: &NodeRow) -> Result<Option<Geodetic>, String> {
    if row.kind == RowKind::Satellite {
        return Ok(None);
    }
    let (Some(lat_deg), Some(lon_deg)) = (row.lat_deg, row.lon_deg) else {
        return Err(format!("row {}: a node on the ground must have lat_deg and lon_deg", row.id));
    };
    Geodetic::new(lat_deg, lon_deg, 0.0)
        .map(Some)
        .map_err(|error| format!("row {}: {error}", row.id))
}

fn links(file: &Path, satellites: usize) -> Result<Vec<(u32, u32)>, FixtureError> {
    let rows: Vec<LinkRow> = csv_rows(file)?;
    let is_wrong = |end: u32| satellites <= end as usize;
    if let Some(row) = rows.iter().find(|row| is_wrong(row.a) || is_wrong(row.b) || row.a == row.b)
    {
        let last = satellites.saturating_sub(1);
        return Err(rule(
            file,
            format!("link {},{} must join two satellites, 0 to {last}", row.a, row.b),
        ));
    }
    Ok(rows.into_iter().map(|row| (row.a, row.b)).collect())
}

fn positions(
    file: &Path,
    minutes: usize,
    satellites: usize,
) -> Result<Vec<Vec<Geodetic>>, FixtureError> {
    let bytes = read(file)?;
    let expected = minutes * satellites * POSITION_BYTES;
    if bytes.len() != expected {
        let have = bytes.len();
        let what = format!(
            "{have} bytes must be {expected}: 3 numbers of 4 bytes for each of {satellites} satellites in {minutes} minutes"
        );
        return Err(rule(file, what));
    }
    let (records, _) = bytes.as_chunks::<POSITION_BYTES>();
    let all: Result<Vec<_>, _> = records.iter().map(position).collect();
    let all = all.map_err(|broken| rule(file, broken))?;
    Ok(all.chunks(satellites.max(1)).map(<[Geodetic]>::to_vec).collect())
}

/// Latitude and longitude in 1e-6 degrees, height in 1e-6 km.
fn position(record: &[u8; POSITION_BYTES]) -> Result<Geodetic, String> {
    let (numbers, _) = record.as_chunks::<4>();
    let [lat, lon, alt] = [0, 1, 2].map(|at| f64::from(i32::from_le_bytes(numbers[at])) / 1e6);
    Geodetic::new(lat, lon, alt).map_err(|error| error.to_string())
}
