//! What is said while nobody listens comes late, also after a kill; what is receipted does not.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use protocol::backlog::{Backlog, LateContent, LateStream, Receipt};
use protocol::event::{Event, EventKind};
use protocol::report::{Line, Report, ReportBody};
use protocol::{decode, encode};
use types::BootId;
use zenoh::Wait as _;

use crate::support::{Agent, Session, eventually, keys, node};

/// What a controller has of a node.
#[derive(Default)]
struct Book {
    events: BTreeMap<(BootId, u64), Event>,
    reports: BTreeMap<(BootId, u64), Report>,
    /// Ids that came more than once.
    again: usize,
    questions: usize,
    /// Whether receipts name live reports.
    names_reports: bool,
    /// The newest report that the first receipt has named.
    named_first: Option<u64>,
    /// The newest report of each start that was heard live.
    newest: BTreeMap<BootId, u64>,
    takes_late: bool,
}

fn take(book: &mut Book, backlog: Backlog) -> Receipt {
    book.questions += 1;
    let mut late_through = None;
    if let Some(late) = backlog.late.filter(|_| book.takes_late) {
        for record in late.records {
            late_through = Some(record.id);
            let LateContent::Frame(frame) = record.content else { panic!("nothing was thinned") };
            let is_again = match late.stream {
                LateStream::Events => {
                    let event: Event = decode(&frame).expect("an event");
                    assert_eq!((event.header.boot, event.header.seq), (late.boot, record.id));
                    book.events.insert((late.boot, record.id), event).is_some()
                }
                LateStream::Reports => {
                    let report: Report = decode(&frame).expect("a report");
                    assert_eq!(report.header.boot, late.boot);
                    book.reports.insert((late.boot, record.id), report).is_some()
                }
            };
            book.again += usize::from(is_again);
        }
    }
    let newest = book.newest.get(&backlog.boot).copied().unwrap_or_default();
    let reports_through = if book.names_reports { newest } else { 0 };
    if book.named_first.is_none() && reports_through != 0 {
        book.named_first = Some(reports_through);
    }
    Receipt {
        controller: node("controller"),
        reports_through,
        reports_seen: u64::MAX,
        events_through: 0,
        late_through,
    }
}

fn serve(session: &Session) -> Arc<Mutex<Book>> {
    let book = Arc::new(Mutex::new(Book { takes_late: true, ..Book::default() }));
    let heard = Arc::clone(&book);
    session
        .zenoh
        .declare_subscriber(keys().reports())
        .callback(move |sample| {
            let report: Report = decode(&sample.payload().to_bytes()).expect("a report");
            let mut book = heard.lock().expect("no panic");
            let newest = book.newest.entry(report.header.boot).or_default();
            *newest = report.header.seq.max(*newest);
        })
        .background()
        .wait()
        .expect("a key");
    let held = Arc::clone(&book);
    session
        .zenoh
        .declare_queryable(keys().backlogs())
        .callback(move |query| {
            let frame = query.payload().map(|p| p.to_bytes().into_owned()).unwrap_or_default();
            let backlog: Backlog = decode(&frame).expect("agents send valid frames");
            let receipt = take(&mut held.lock().expect("no panic"), backlog);
            query.reply(query.key_expr().clone(), encode(&receipt).expect("it fits")).wait().ok();
        })
        .background()
        .wait()
        .expect("a key");
    book
}

/// Bytes of segments in the queue of an agent.
fn queued(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir.join("sat-1-store/queue")).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|facts| facts.len()).sum()
}

#[test]
fn what_nobody_heard_comes_late_also_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut agent = Agent::start(dir.path(), "sat-1", &[], "");
    // Nobody is there: reports go to disk, after the event that it started.
    eventually("reports on disk", || (4_000 < queued(dir.path())).then_some(()));
    agent.kill();
    agent.restart();
    let session = Session::controller(&[agent.port], &[]);
    let book = serve(&session);
    let started = |event: &Event| matches!(event.kind, EventKind::Started(_));
    let boots = eventually("both starts, and reports of the first", || {
        let book = book.lock().unwrap();
        let boots: Vec<_> =
            book.events.values().filter(|e| started(e)).map(|event| event.header.boot).collect();
        let first = *boots.first()?;
        let of_first = book.reports.keys().any(|(boot, _)| *boot == first);
        let of_any = book.reports.keys().any(|(boot, _)| boots.contains(boot));
        (2 <= boots.len() && (of_first || of_any)).then_some(boots)
    });
    assert_ne!(boots[0], boots[1]);
    // From now on live reports are receipted: everything is gone from the disk, and each record came once.
    book.lock().unwrap().names_reports = true;
    eventually("an empty backlog", || {
        let newest = session.reports().into_iter().rev().find_map(|report| match report.body {
            ReportBody::Backlog(backlog) => Some(backlog),
            _ => None,
        })?;
        (newest.line == Line::Heard && newest.records <= 64).then_some(())
    });
    assert_eq!(book.lock().unwrap().again, 0);
}

#[test]
fn what_is_receipted_is_not_brought_again() {
    let dir = tempfile::tempdir().unwrap();
    let agent = Agent::start(dir.path(), "sat-1", &[], "");
    let session = Session::controller(&[agent.port], &[]);
    let book = serve(&session);
    book.lock().unwrap().names_reports = true;
    // What comes late does so after five seconds, so ten questions are enough to see it.
    eventually("fifteen receipts", || (15 <= book.lock().unwrap().questions).then_some(()));
    let book = book.lock().unwrap();
    let named_first = book.named_first.expect("reports are heard within fifteen seconds");
    // Of the time before the first receipt, some may have been kept.
    let again: Vec<_> = book.reports.keys().filter(|(_, seq)| named_first < *seq).collect();
    assert!(again.is_empty(), "named by a receipt, and brought again: {again:?}");
}

#[test]
fn an_agent_whose_queue_cannot_be_made_lives_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    // A file is where the directory should be.
    std::fs::create_dir(dir.path().join("sat-1-store")).unwrap();
    std::fs::write(dir.path().join("sat-1-store/queue"), b"in the way").unwrap();
    let agent = Agent::start(dir.path(), "sat-1", &[], "");
    let session = Session::controller(&[agent.port], &[]);
    let backlog = eventually("a report of the backlog", || {
        session.reports().into_iter().rev().find_map(|report| match report.body {
            ReportBody::Backlog(backlog) if 0 < backlog.records => Some(backlog),
            _ => None,
        })
    });
    assert!(0 < backlog.disk_failures && 0 < backlog.memory_bytes, "{backlog:?}");
    assert_eq!(backlog.disk_bytes, 0);
}
