//! The live table in a terminal, and plain lines where there is none.

use std::io::{self, Write};
use std::time::Duration;

use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::DefaultTerminal;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table};
use types::{Epoch, NodeKind};

use crate::watch::{Contact, NodeRow, Reach, RunRow, TaskRow, View};

/// What stays the same in the table's head.
#[derive(Clone, Debug)]
pub struct Heading {
    /// The constellation's name.
    pub constellation: String,
    /// Its satellites.
    pub satellites: usize,
    /// Sky seconds per wall second.
    pub speed: f64,
    /// Address of the HTTP API.
    pub http: String,
}

/// Where the demo shows itself.
#[derive(Debug)]
pub enum Screen {
    /// A terminal of its own screen.
    Table(Box<DefaultTerminal>),
    /// Lines, one group every few seconds.
    Lines,
}

impl Screen {
    /// The live table.
    ///
    /// # Errors
    /// When the terminal cannot be prepared.
    pub fn table() -> io::Result<Self> {
        ratatui::try_init().map(|terminal| Self::Table(Box::new(terminal)))
    }

    /// Shows a view.
    ///
    /// # Errors
    /// When the terminal or stdout cannot be written.
    pub fn show(&mut self, heading: &Heading, view: &View) -> io::Result<()> {
        match self {
            Self::Table(terminal) => {
                terminal.draw(|frame| draw(frame, heading, view))?;
                Ok(())
            }
            Self::Lines => write_lines(&mut io::stdout().lock(), view),
        }
    }

    /// Waits for `timeout` or until the user asks to stop (q, Esc or Ctrl-C on the table).
    ///
    /// # Errors
    /// When the terminal cannot be read.
    pub fn wait(&self, timeout: Duration) -> io::Result<bool> {
        match self {
            Self::Table(_) => {
                if !event::poll(timeout)? {
                    return Ok(false);
                }
                Ok(matches!(event::read()?, Event::Key(key) if key.kind == KeyEventKind::Press
                    && (matches!(key.code, KeyCode::Char('q') | KeyCode::Esc)
                        || (key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL)))))
            }
            Self::Lines => {
                std::thread::sleep(timeout);
                Ok(false)
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if matches!(self, Self::Table(_)) {
            ratatui::restore();
        }
    }
}

fn draw(frame: &mut Frame<'_>, heading: &Heading, view: &View) {
    let nodes = u16::try_from(view.nodes.len()).unwrap_or(u16::MAX);
    let tasks = u16::try_from(view.tasks.len()).unwrap_or(u16::MAX);
    let [head, node_area, task_area, run_area, note_area] = Layout::vertical([
        Constraint::Length(3),
        Constraint::Length(nodes.saturating_add(3)),
        Constraint::Length(tasks.saturating_mul(2).saturating_add(3)),
        Constraint::Length(4),
        Constraint::Min(2),
    ])
    .areas(frame.area());
    frame.render_widget(heading_text(heading, view), head);
    frame.render_widget(node_table(view), node_area);
    frame.render_widget(Paragraph::new(task_lines(view)), task_area);
    frame.render_widget(Paragraph::new(run_lines(view)), run_area);
    frame.render_widget(Paragraph::new(note_lines(view, note_area.height)), note_area);
}

fn heading_text(heading: &Heading, view: &View) -> Paragraph<'static> {
    let first = Line::from(vec![
        Span::from(" Starbelt ").black().on_cyan(),
        Span::from(format!("  {}  ×{}", short(view.sky), heading.speed)).bold(),
        Span::from(format!(
            "   {} satellites predicted ({})",
            heading.satellites, heading.constellation
        )),
    ]);
    let second = Line::from(format!(
        " runs {} ok, {} failed   planned hand-overs {}   fail-overs {}   running {} s   API http://{}   q quits",
        view.completed,
        view.failed,
        view.handovers,
        view.failovers,
        view.elapsed.as_secs(),
        heading.http,
    ))
    .dim();
    Paragraph::new(vec![first, second])
}

const TITLE: Style = Style::new().fg(Color::Cyan).add_modifier(Modifier::BOLD);

fn node_table(view: &View) -> Table<'static> {
    let header = [
        "node",
        "kind",
        "to drone",
        "contact ≤ limit",
        "battery",
        "temp",
        "sun",
        "cores",
        "report",
        "hosts",
    ];
    let rows: Vec<Row<'static>> = view.nodes.iter().map(|node| node_row(node, view.sky)).collect();
    let mut widths = [16, 14, 10, 17, 8, 8, 5, 6, 8, 0].map(Constraint::Length);
    // A narrow terminal cuts the names of tasks, which stand below again.
    widths[9] = Constraint::Min(12);
    Table::new(rows, widths).header(Row::new(header).style(TITLE)).column_spacing(1)
}

fn node_row(node: &NodeRow, sky: Epoch) -> Row<'static> {
    let tasks: Vec<&str> = node.tasks.iter().map(types::TaskId::as_str).collect();
    let row = Row::new([
        Cell::from(node.node.to_string()),
        Cell::from(node.kind.to_string()),
        Cell::from(
            node.to_drone_ms.map_or_else(|| "no path".to_owned(), |ms| format!("{ms:.1} ms")),
        ),
        contact_cell(node, sky),
        battery_cell(node),
        Cell::from(node.temperature_c.map_or_else(|| "?".to_owned(), |t| format!("{t:.0} °C"))),
        Cell::from(match node.sunlit {
            None => "?",
            Some(sun) if 0.5 < sun => "sun",
            Some(_) => "dark",
        }),
        Cell::from(node.load_cores.map_or_else(|| "?".to_owned(), |cores| format!("{cores:.2}"))),
        Cell::from(
            node.silent_for
                .map_or_else(|| "never".to_owned(), |age| format!("{:.1} s", age.as_secs_f64())),
        ),
        Cell::from(tasks.join(" ")).bold().green(),
    ]);
    if node.alive { row } else { row.style(Style::new().fg(Color::Red)) }
}

fn contact_cell(node: &NodeRow, sky: Epoch) -> Cell<'static> {
    match node.contact {
        Contact::OpenUntil(close) => {
            Cell::from(format!("open {}", span(close.seconds_since(sky)))).green()
        }
        Contact::OpensAt(open) => {
            Cell::from(format!("in {}", span(open.seconds_since(sky)))).yellow()
        }
        Contact::None if node.kind == NodeKind::Satellite => Cell::from("not in plan").dim(),
        Contact::None => Cell::from("-").dim(),
    }
}

fn battery_cell(node: &NodeRow) -> Cell<'static> {
    match node.battery {
        None => Cell::from("grid").dim(),
        Some(charge) if charge < 0.3 => Cell::from(format!("{:.1} %", charge * 100.0)).red(),
        Some(charge) => Cell::from(format!("{:.1} %", charge * 100.0)),
    }
}

fn task_lines(view: &View) -> Vec<Line<'static>> {
    let mut lines = vec![Line::styled("where each function runs, and why", TITLE)];
    for task in &view.tasks {
        lines.push(Line::from(vec![
            Span::from(format!("{:<15}", task.task.as_str())).bold(),
            Span::from(format!(
                "{:<17}",
                task.node.as_ref().map_or("nowhere", types::NodeId::as_str)
            ))
            .green(),
            Span::from(latency_text(task)),
            Span::from(window_text(task, view.sky)).yellow(),
        ]));
        lines.push(Line::from(format!("{:<15}{}", "", task.because)).dim());
    }
    lines
}

fn latency_text(task: &TaskRow) -> String {
    match task.reach {
        Reach::Path { ms, limit_ms: Some(limit) } => format!("{ms:>6.1} of {limit:.0} ms   "),
        Reach::Path { ms, limit_ms: None } => format!("{ms:>6.1} ms          "),
        Reach::Source => format!("{:<18}", "source"),
        Reach::NoPath => format!("{:<18}", "no path"),
        Reach::Unknown => format!("{:<18}", "-"),
    }
}

fn window_text(task: &TaskRow, sky: Epoch) -> String {
    let closes = task.closes.map_or_else(String::new, |close| {
        format!("window closes in {}", span(close.seconds_since(sky)))
    });
    match &task.next {
        None => closes,
        Some((node, at)) => format!("{closes}, then {node} in {}", span(at.seconds_since(sky))),
    }
}

fn run_lines(view: &View) -> Vec<Line<'static>> {
    let mut lines = vec![Line::styled("last run", TITLE)];
    match &view.last_run {
        None => lines.push(Line::from("none yet").dim()),
        Some(run) => {
            lines.push(Line::from(format!(
                "#{} took {:.0} ms: {}",
                run.run, run.wall_ms, run.result
            )));
            lines.push(Line::from(stage_text(run)).dim());
        }
    }
    lines
}

fn stage_text(run: &RunRow) -> String {
    let stages: Vec<String> =
        run.stages.iter().map(|(task, node, ms)| format!("{task} {ms:.0} ms on {node}")).collect();
    stages.join(" → ")
}

fn note_lines(view: &View, height: u16) -> Vec<Line<'static>> {
    let room = usize::from(height.saturating_sub(1));
    let skip = view.notes.len().saturating_sub(room);
    let mut lines = vec![Line::styled("what happened", TITLE)];
    lines.extend(
        view.notes[skip..]
            .iter()
            .map(|note| Line::from(format!("{}  {}", short(note.at), note.text))),
    );
    lines
}

/// A span of sky time as `m:ss`.
fn span(seconds: f64) -> String {
    let whole = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default().as_secs();
    format!("{}:{:02}", whole / 60, whole % 60)
}

/// A moment without its date.
fn short(at: Epoch) -> String {
    let text = format!("{at:.0}");
    text.get(11..19).unwrap_or(&text).to_owned()
}

fn write_lines(out: &mut impl Write, view: &View) -> io::Result<()> {
    let alive = view.nodes.iter().filter(|node| node.alive).count();
    writeln!(
        out,
        "{:>4} s  sky {:.0}  nodes {alive}/{}  runs {} ok {} failed  hand-overs {}  fail-overs {}",
        view.elapsed.as_secs(),
        view.sky,
        view.nodes.len(),
        view.completed,
        view.failed,
        view.handovers,
        view.failovers,
    )?;
    for task in &view.tasks {
        let node = task.node.as_ref().map_or("nowhere", types::NodeId::as_str);
        writeln!(
            out,
            "        {:<15}{:<17}{}{}",
            task.task.as_str(),
            node,
            latency_text(task),
            window_text(task, view.sky)
        )?;
    }
    if let Some(run) = &view.last_run {
        writeln!(out, "        run #{} took {:.0} ms: {}", run.run, run.wall_ms, run.result)?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use types::{NodeId, TaskId};

    fn view() -> View {
        let sky = Epoch::parse("2026-01-01T10:00:00Z").unwrap();
        let node = |name: &str, contact| NodeRow {
            node: NodeId::new(name).unwrap(),
            kind: NodeKind::Satellite,
            alive: name != "leo-02",
            silent_for: Some(Duration::from_millis(400)),
            to_drone_ms: (name != "leo-02").then_some(7.25),
            contact,
            battery: Some(0.87),
            temperature_c: None,
            sunlit: Some(0.0),
            load_cores: Some(0.05),
            tasks: vec![],
        };
        View {
            sky,
            elapsed: Duration::from_secs(61),
            nodes: vec![
                node("leo-01", Contact::OpenUntil(sky.plus_s(75.0))),
                node("leo-02", Contact::OpensAt(sky.plus_s(600.0))),
            ],
            tasks: vec![TaskRow {
                task: TaskId::new("extract-frames").unwrap(),
                node: Some(NodeId::new("leo-01").unwrap()),
                reach: Reach::Path { ms: 7.25, limit_ms: Some(20.0) },
                closes: Some(sky.plus_s(75.0)),
                next: Some((NodeId::new("leo-02").unwrap(), sky.plus_s(30.0))),
                because: "holds 20 ms longest".to_owned(),
            }],
            last_run: None,
            completed: 3,
            failed: 0,
            handovers: 1,
            failovers: 0,
            notes: vec![],
        }
    }

    #[test]
    fn the_table_tells_contacts_silence_and_unknowns() {
        let heading = Heading {
            constellation: "test".to_owned(),
            satellites: 2,
            speed: 30.0,
            http: "127.0.0.1:1".to_owned(),
        };
        let mut terminal = Terminal::new(TestBackend::new(140, 30)).unwrap();
        terminal.draw(|frame| draw(frame, &heading, &view())).unwrap();
        let text = terminal.backend().to_string();
        for part in [
            "10:00:00",
            "open 1:15",
            "in 10:00",
            "no path",
            "87.0 %",
            "7.2 of 20 ms",
            "then leo-02 in 0:30",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        // An unknown temperature is a question mark, never 0.
        assert!(!text.contains("0 °C"), "{text}");
    }

    #[test]
    fn lines_tell_the_same() {
        let mut out = Vec::new();
        write_lines(&mut out, &view()).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("nodes 1/2  runs 3 ok 0 failed  hand-overs 1"), "{text}");
    }

    #[test]
    fn only_a_task_without_inputs_is_a_source() {
        for (reach, text) in [
            (Reach::Source, "source"),
            (Reach::NoPath, "no path"),
            (Reach::Unknown, "-"),
            (Reach::Path { ms: 7.25, limit_ms: Some(20.0) }, "   7.2 of 20 ms"),
            (Reach::Path { ms: 7.25, limit_ms: None }, "   7.2 ms"),
        ] {
            let task = TaskRow { reach, ..view().tasks.remove(0) };
            assert_eq!(latency_text(&task).trim_end(), text);
        }
    }
}
