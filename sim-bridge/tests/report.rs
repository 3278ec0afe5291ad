//! Reports of a run: what stands in the tables reads back as it was, and the page needs nothing but itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use orbit::ground::GroundLink;
use orbit::link::IslSet;
use orbit::station::Station;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use sim_bridge::offline::bench::brute::{BruteGround, BruteLinks};
use sim_bridge::offline::bench::parts;
use sim_bridge::offline::bench::sky::{BenchSky, cities};
use sim_bridge::offline::bench::world::{Rules, World};
use sim_bridge::offline::moment::Moment;
use sim_bridge::offline::report::table::{
    COVERAGE, FIGURES, LINKS, ROUTES, STEPS, Table, WORKLOAD,
};
use sim_bridge::offline::report::{ReportSpec, Reports};
use sim_bridge::offline::sink::{RunHead, StepSink};
use sim_bridge::offline::summary::{
    RouteSummary, RunSummary, StepMs, StepSummary, WorkloadSummary,
};
use topology::NodeIx;
use types::Epoch;

/// A name that would be markup, a formula's quote, and a field's end.
const NASTY: &str = "<b>\"Graz\", & 'co'</b>";

/// A run of a small constellation, made with the bench's brute-force rules.
struct Run {
    head: RunHead,
    world: World,
    step_s: f64,
}

impl Run {
    fn new(satellites: usize, steps: u64, step_s: f64) -> Self {
        let sky = BenchSky::new(&[], &cities(), "", satellites).expect("shells can be read");
        let mut stations: Vec<Station> = sky.stations.to_vec();
        stations[3].name = NASTY.to_owned();
        let rules = Rules {
            propagator: parts::propagator(Arc::clone(&sky.elements)),
            links: Box::new(BruteLinks),
            ground: Box::new(BruteGround),
        };
        let head = RunHead {
            scenario: format!("{satellites} satellites <test>"),
            model: "sgp4".to_owned(),
            satellites: sky.elements.iter().map(|e| e.name.clone()).collect(),
            stations: stations.into(),
            steps,
            step_s,
            start: sky.start,
        };
        Self { world: World::new(sky.elements, &sky.stations, rules), head, step_s }
    }

    /// The state and the summary of a step.
    fn step(&mut self, step: u64) -> (Moment, StepSummary) {
        let after_s = self.step_s * f64::from(u32::try_from(step).expect("few steps"));
        let at = self.head.start.plus_s(after_s);
        self.world.step(at);
        let graph = self.world.graph();
        let mut summary = StepSummary {
            time: at,
            positions_hash: format!("{step:016x}"),
            down: 0,
            links: self.world.isl().links.len(),
            ground_links: self.world.ground().len(),
            tree_weight_km: self.world.isl().forest.map(|forest| forest.weight_km),
            tree_edges: self.world.isl().forest.map(|forest| forest.edges),
            components: self.world.isl().forest.map_or(0, |forest| forest.components),
            routes: Vec::new(),
            ms: StepMs {
                positions: 1.5,
                links: 4.0 + after_s.sin(),
                ground_links: 0.5,
                routing: 0.25,
            },
            workload: None,
        };
        let satellites = self.head.satellites.len();
        for (from, to) in [(3, 40), (10, 70), (20, 60)] {
            let node = |station: usize| NodeIx(u32::try_from(satellites + station).expect("few"));
            let tree = graph.shortest_paths(node(from));
            let path = tree.path_to(node(to)).unwrap_or_default();
            summary.routes.push(RouteSummary {
                from: self.head.stations[from].name.clone(),
                to: self.head.stations[to].name.clone(),
                latency_ms: tree.delay_us(node(to)).map(|us| us / 1e3),
                hops: tree.state_to(node(to)).map(|state| usize::from(state.hops)),
                path: path.iter().map(|node| self.name(*node)).collect(),
            });
        }
        let moment = Moment {
            step,
            at,
            turn: orbit::frame::PolarTurn::at(at),
            positions_km: self.world.positions_km().to_vec(),
            isl: self.world.isl().clone(),
            stations: self.world.stations().to_vec(),
            ground: self.world.ground().to_vec(),
            graph,
        };
        (moment, summary)
    }

    fn name(&self, node: NodeIx) -> String {
        let satellites = &self.head.satellites;
        satellites.get(node.index()).map_or_else(
            || self.head.stations[node.index() - satellites.len()].name.clone(),
            String::clone,
        )
    }

    /// The whole run into these reports.
    fn report(&mut self, spec: &ReportSpec) -> RunSummary {
        let mut reports = Reports::new(spec);
        reports.begin(&self.head).expect("the folder can be written");
        let mut summary = RunSummary {
            scenario: self.head.scenario.clone(),
            model: self.head.model.clone(),
            satellites: self.head.satellites.len(),
            stations: self.head.stations.len(),
            steps: Vec::new(),
            figures: BTreeMap::new(),
        };
        for step in 0..self.head.steps {
            let (moment, step) = self.step(step);
            reports.step(&moment, &step).expect("the folder can be written");
            summary.steps.push(step);
        }
        reports.end(&summary).expect("the folder can be written");
        summary
    }
}

fn csv_rows(folder: &Path, table: &Table) -> Vec<Vec<String>> {
    let file = folder.join(format!("{}.csv", table.name));
    let mut reader = csv::Reader::from_path(&file).expect("the table is there");
    let names: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
    assert_eq!(reader.headers().expect("it has a head").iter().collect::<Vec<_>>(), names);
    let rows = reader.records().map(|row| row.expect("it is a table"));
    rows.map(|row| row.iter().map(str::to_owned).collect()).collect()
}

/// The table as CSV would hold it.
fn parquet_rows(folder: &Path, table: &Table) -> Vec<Vec<String>> {
    let file = fs::File::open(folder.join(format!("{}.parquet", table.name)));
    let reader = SerializedFileReader::new(file.expect("the table is there")).expect("Parquet");
    let text = |field: &Field| match field {
        Field::Null => String::new(),
        Field::Str(text) => text.clone(),
        Field::Long(number) => number.to_string(),
        Field::Double(number) => number.to_string(),
        Field::TimestampMicros(us) => Epoch::from_unix_ns(us * 1_000).to_string(),
        other => other.to_string(),
    };
    let rows = reader.get_row_iter(None).expect("it has rows");
    let rows = rows.map(|row| row.expect("it is a row"));
    rows.map(|row| row.get_column_iter().map(|(_, field)| text(field)).collect()).collect()
}

#[test]
fn both_formats_hold_the_same_tables_and_nothing_half_done() {
    let dir = tempfile::tempdir().unwrap();
    let (csv, parquet) = (dir.path().join("csv"), dir.path().join("parquet"));
    let spec = ReportSpec {
        csv: Some(csv.clone()),
        parquet: Some(parquet.clone()),
        html: None,
        links: true,
    };
    let summary = Run::new(80, 4, 60.0).report(&spec);
    for table in [STEPS, ROUTES, LINKS, COVERAGE] {
        let rows = csv_rows(&csv, &table);
        assert!(!rows.is_empty(), "{}", table.name);
        assert_eq!(rows, parquet_rows(&parquet, &table), "{}", table.name);
    }
    for folder in [&csv, &parquet] {
        assert_eq!(fs::read_dir(folder).unwrap().count(), 4);
    }
    let steps = csv_rows(&csv, &STEPS);
    assert_eq!(steps.len(), 4);
    for (row, step) in steps.iter().zip(&summary.steps) {
        assert_eq!(row[1], step.time.to_string());
        assert_eq!(row[4], step.links.to_string());
        // The same number again, bit by bit.
        assert_eq!(row[6].parse().ok(), step.tree_weight_km);
    }
    let routes = csv_rows(&csv, &ROUTES);
    assert_eq!((routes.len(), routes[0][2].as_str()), (12, NASTY));
    let unreachable = summary.steps[0].routes.iter().position(|route| route.latency_ms.is_none());
    let unreachable = unreachable.expect("80 satellites do not cover the world");
    assert_eq!(routes[unreachable][4..], ["", "", ""]);
    assert_eq!(csv_rows(&csv, &COVERAGE).len(), 4 * 85);
}

#[test]
fn workloads_and_figures_of_plugins_stand_in_tables_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let (csv, parquet) = (dir.path().join("csv"), dir.path().join("parquet"));
    let spec = ReportSpec {
        csv: Some(csv.clone()),
        parquet: Some(parquet.clone()),
        ..ReportSpec::default()
    };
    let mut run = Run::new(20, 3, 60.0);
    let mut reports = Reports::new(&spec);
    reports.begin(&run.head).unwrap();
    let (mut steps, [deployed, refused, moved, broken, ended]) = (Vec::new(), [1, 2, 3, 4, 5]);
    for number in 0..3 {
        let (moment, mut step) = run.step(number);
        let ms = 0.25;
        let workload =
            WorkloadSummary { deployed, refused, moved, broken, ended, ms, instances: 6, tasks: 7 };
        // A plugin deploys the first one at the second step.
        step.workload = (0 < number).then_some(workload);
        reports.step(&moment, &step).unwrap();
        steps.push(step);
    }
    let figures = [("charge_min".to_owned(), Some(0.5)), (NASTY.to_owned(), None)];
    let figures = BTreeMap::from([("energy".to_owned(), BTreeMap::from(figures))]);
    let summary = RunSummary {
        scenario: String::new(),
        model: String::new(),
        satellites: 20,
        stations: 85,
        steps,
        figures,
    };
    reports.end(&summary).unwrap();
    let times: Vec<String> = summary.steps.iter().map(|step| step.time.to_string()).collect();
    let row = |step: &str, time: &str| {
        let counts = ["1", "2", "3", "4", "5", "6", "7", "0.25"].map(str::to_owned);
        [&[step.to_owned(), time.to_owned()], &counts[..]].concat()
    };
    let expected = [row("1", &times[1]), row("2", &times[2])];
    assert_eq!(csv_rows(&csv, &WORKLOAD), expected);
    assert_eq!(parquet_rows(&parquet, &WORKLOAD), expected);
    let expected = [["energy", NASTY, ""], ["energy", "charge_min", "0.5"]];
    assert_eq!(csv_rows(&csv, &FIGURES), expected);
    assert_eq!(parquet_rows(&parquet, &FIGURES), expected);
}

#[test]
fn links_that_opened_less_those_that_closed_are_those_that_are_there() {
    let dir = tempfile::tempdir().unwrap();
    let spec =
        ReportSpec { csv: Some(dir.path().to_owned()), links: true, ..ReportSpec::default() };
    let summary = Run::new(300, 6, 120.0).report(&spec);
    let rows = csv_rows(dir.path(), &LINKS);
    for kind in ["isl", "ground"] {
        let count = |event: &str| rows.iter().filter(|r| r[2] == event && r[3] == kind).count();
        let last = summary.steps.last().unwrap();
        let there = if kind == "isl" { last.links } else { last.ground_links };
        assert!(0 < count("closed"), "{kind}");
        assert_eq!(count("opened") - count("closed"), there, "{kind}");
    }
    let closed = rows.iter().find(|row| row[2] == "closed").unwrap();
    assert_eq!(closed[6], "");
}

#[test]
fn without_the_wish_for_it_there_is_no_table_of_links() {
    let dir = tempfile::tempdir().unwrap();
    let spec = ReportSpec { csv: Some(dir.path().to_owned()), ..ReportSpec::default() };
    Run::new(10, 2, 60.0).report(&spec);
    assert!(!dir.path().join("links.csv").exists() && dir.path().join("steps.csv").exists());
}

#[test]
fn the_page_needs_nothing_but_itself_and_names_stay_names() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("report.html");
    let spec = ReportSpec { html: Some(file.clone()), ..ReportSpec::default() };
    Run::new(300, 30, 60.0).report(&spec);
    let page = fs::read_to_string(&file).unwrap();
    // The one address in it is the name of the SVG language in the script.
    assert_eq!(page.matches("http").count(), page.matches("http-equiv").count() + 1);
    for from_elsewhere in ["src=", "<link", "@import", "url(", "<iframe"] {
        assert!(!page.contains(from_elsewhere), "{from_elsewhere}");
    }
    assert!(!page.contains(NASTY) && !page.contains("<test>"));
    assert!(page.contains("&lt;b&gt;&quot;Graz&quot;, &amp; &#39;co&#39;&lt;/b&gt;"));
    for title in
        ["Links", "Routes", "Coverage", "Satellites in sight", "Contacts", "Map", "Computing time"]
    {
        assert!(page.contains(&format!("<h2>{title}</h2>")), "{title}");
    }
    assert!(!page.contains("NaN") && !page.contains("inf\""));
    for element in ["svg", "g", "section", "figure", "table", "div", "main"] {
        let opened = page.matches(&format!("<{element} ")).count()
            + page.matches(&format!("<{element}>")).count();
        assert_eq!(opened, page.matches(&format!("</{element}>")).count(), "{element}");
    }
}

/// A step of a constellation so large that its links need not be computed.
fn large_step(head: &RunHead, step: u64) -> (Moment, StepSummary) {
    let number = |of: usize| u32::try_from(of).expect("few");
    let satellites = number(head.satellites.len());
    let after_s = head.step_s * f64::from(u32::try_from(step).expect("few steps"));
    let at = head.start.plus_s(after_s);
    let position = |n: u32| {
        let (around, up) =
            (f64::from(n) * 2.4 + after_s / 900.0, f64::from(n % 1_801) / 900.5 - 1.0);
        let level = (1.0 - up * up).max(0.0).sqrt() * 6_928.0;
        [level * around.cos(), level * around.sin(), up * 6_928.0]
    };
    let link = |a: u32| orbit::link::Isl { a, b: a + 1, length_km: 500.0 };
    let shift = u32::try_from(step).expect("few steps");
    let ground = (0..number(head.stations.len())).flat_map(|station| {
        // Four links per station, and another satellite at each step: the most that can come and go.
        (0..4).map(move |lane| GroundLink {
            station,
            satellite: (station * 40 + lane * 7 + shift * 4) % satellites,
            range_km: 900.0,
            elevation_deg: 40.0,
        })
    });
    let mut ground: Vec<GroundLink> = ground.collect();
    ground.sort_unstable_by_key(|link| (link.station, link.satellite));
    let turn = orbit::frame::PolarTurn::at(at);
    let stations = head.stations.iter().map(|station| orbit::ground::StationNow {
        place: station.place,
        viewer: orbit::visibility::Viewer {
            position_km: turn.to_teme(orbit::geodesy::to_ecef_km(&station.place)),
            up: turn.to_teme(orbit::geodesy::up(&station.place)),
        },
        min_elevation_deg: Some(25.0),
        terminals: 4,
    });
    let moment = Moment {
        step,
        at,
        turn,
        positions_km: (0..satellites).map(position).collect(),
        isl: IslSet { links: (0..satellites - 1).map(link).collect(), forest: None },
        stations: stations.collect(),
        ground,
        graph: topology::Graph::new(0, &[]).expect("no links, no faults"),
    };
    let routes = (0..20).map(|n| RouteSummary {
        from: head.stations[n].name.clone(),
        to: head.stations[n + 40].name.clone(),
        latency_ms: (!step.is_multiple_of(7)).then_some(40.0 + after_s.cos()),
        hops: Some(9),
        path: vec![format!("{step}")],
    });
    let summary = StepSummary {
        time: at,
        positions_hash: String::new(),
        down: 0,
        links: moment.isl.links.len(),
        ground_links: moment.ground.len(),
        tree_weight_km: None,
        tree_edges: None,
        components: 1,
        routes: routes.collect(),
        ms: StepMs { positions: 1.0, links: 3.0, ground_links: 0.2, routing: 0.4 },
        workload: None,
    };
    (moment, summary)
}

#[test]
fn the_page_of_a_hundred_steps_of_6882_satellites_is_below_5_mb() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("report.html");
    let head = RunHead {
        scenario: "large".to_owned(),
        model: "sgp4".to_owned(),
        satellites: (0..6_882).map(|n| format!("SATELLITE-{n:05}")).collect(),
        stations: cities(),
        steps: 100,
        step_s: 60.0,
        start: Epoch::from_unix_ns(1_767_225_600_000_000_000),
    };
    let mut reports =
        Reports::new(&ReportSpec { html: Some(file.clone()), ..ReportSpec::default() });
    reports.begin(&head).unwrap();
    let mut summary = RunSummary {
        scenario: head.scenario.clone(),
        model: head.model.clone(),
        satellites: 6_882,
        stations: 85,
        steps: Vec::new(),
        figures: BTreeMap::new(),
    };
    for step in 0..100 {
        let (moment, step) = large_step(&head, step);
        reports.step(&moment, &step).unwrap();
        summary.steps.push(step);
    }
    reports.end(&summary).unwrap();
    let bytes = fs::metadata(&file).unwrap().len();
    assert!((200_000..5_000_000).contains(&bytes), "{bytes}");
    // Far more contacts than could all have names, and still each is drawn.
    let page = fs::read_to_string(&file).unwrap();
    assert!(!page.contains("contacts are not drawn") && !page.contains("Point at a bar"));
}

#[test]
fn a_run_that_ends_early_or_is_empty_still_makes_whole_files() {
    let dir = tempfile::tempdir().unwrap();
    for steps in [0, 1] {
        let folder = dir.path().join(steps.to_string());
        let file = folder.join("report.html");
        let spec = ReportSpec {
            csv: Some(folder.clone()),
            parquet: Some(folder.clone()),
            html: Some(file.clone()),
            links: true,
        };
        Run::new(1, steps, 60.0).report(&spec);
        assert!(fs::read_to_string(&file).unwrap().ends_with("</html>\n"));
        assert_eq!(csv_rows(&folder, &STEPS).len(), parquet_rows(&folder, &STEPS).len());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 9);
    }
}

#[test]
fn a_run_that_fails_leaves_no_files() {
    let dir = tempfile::tempdir().unwrap();
    let spec = ReportSpec {
        csv: Some(dir.path().join("t")),
        parquet: Some(dir.path().join("t")),
        html: Some(dir.path().join("t/report.html")),
        links: true,
    };
    let mut run = Run::new(20, 2, 60.0);
    let mut reports = Reports::new(&spec);
    reports.begin(&run.head).unwrap();
    let (moment, step) = run.step(0);
    reports.step(&moment, &step).unwrap();
    drop(reports);
    assert_eq!(fs::read_dir(dir.path().join("t")).unwrap().count(), 0);
}

#[test]
fn a_folder_that_cannot_be_written_is_named_before_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let blocked = dir.path().join("file");
    fs::write(&blocked, "in the way").unwrap();
    let run = Run::new(1, 1, 60.0);
    for spec in [
        ReportSpec { csv: Some(blocked.clone()), ..ReportSpec::default() },
        ReportSpec { html: Some(blocked.join("report.html")), ..ReportSpec::default() },
    ] {
        let error = Reports::new(&spec).begin(&run.head).unwrap_err();
        assert!(error.to_string().contains(&blocked.display().to_string()), "{error}");
    }
}
