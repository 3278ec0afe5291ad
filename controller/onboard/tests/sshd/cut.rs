//! A wire that is cut after so many bytes towards the board: once, or for good.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

pub(crate) struct Cut {
    pub(crate) port: u16,
    was_cut: Arc<AtomicBool>,
}

impl Cut {
    /// The first connection is cut, later ones are whole.
    pub(crate) fn start(to: u16, after: usize) -> Self {
        Self::wire(to, after, false)
    }

    /// After the first connection was cut, nobody answers.
    pub(crate) fn start_for_good(to: u16, after: usize) -> Self {
        Self::wire(to, after, true)
    }

    fn wire(to: u16, after: usize, for_good: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let was_cut = Arc::new(AtomicBool::new(false));
        let cut = Arc::clone(&was_cut);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let is_cut = cut.load(Ordering::SeqCst);
                if is_cut && for_good {
                    continue;
                }
                let board = TcpStream::connect(("127.0.0.1", to)).unwrap();
                let left = if is_cut { usize::MAX } else { after };
                let (up, down) = (client.try_clone().unwrap(), board.try_clone().unwrap());
                let cut = Arc::clone(&cut);
                thread::spawn(move || {
                    if relay(up, board, left) {
                        cut.store(true, Ordering::SeqCst);
                    }
                });
                thread::spawn(move || relay(down, client, usize::MAX));
            }
        });
        Self { port, was_cut }
    }

    pub(crate) fn was_cut(&self) -> bool {
        self.was_cut.load(Ordering::SeqCst)
    }
}

/// Carries bytes; answers whether it was cut.
fn relay(mut from: TcpStream, mut to: TcpStream, mut left: usize) -> bool {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if left < count {
            from.shutdown(Shutdown::Both).ok();
            to.shutdown(Shutdown::Both).ok();
            return true;
        }
        left -= count;
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    to.shutdown(Shutdown::Both).ok();
    from.shutdown(Shutdown::Both).ok();
    false
}
