//! Packets and the sealed memory that comes along with them.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, memfd_create};
use rustix::io::{Errno, pread};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};

/// Largest packet: a hello with 64 inputs and as many outputs fits.
const PACKET_BYTES_MAX: usize = 64 * 1024;
/// All that must hold before memory is read: nobody writes, cuts, grows, or lifts the seals.
const SEALS: SealFlags =
    SealFlags::WRITE.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::SEAL);

/// The agent's end and the program's.
pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Sends a packet, at once or not at all.
pub(super) fn send(socket: &OwnedFd, packet: &[u8], memory: &File) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let rights = [memory.as_fd()];
    if !control.push(SendAncillaryMessage::ScmRights(&rights)) {
        return Err(invalid("there is no room for a descriptor"));
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    rustix::io::retry_on_intr(|| sendmsg(socket, &[IoSlice::new(packet)], &mut control, flags))?;
    Ok(())
}

/// Waits for a packet until then; gives it and what came along.
///
/// # Errors
/// [`io::ErrorKind::UnexpectedEof`] if the program is gone, [`io::ErrorKind::TimedOut`], [`io::ErrorKind::InvalidData`].
pub(super) fn receive(socket: &OwnedFd, until: Instant) -> io::Result<(Vec<u8>, Option<File>)> {
    wait(socket, until)?;
    let mut packet = vec![0; PACKET_BYTES_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = {
        let mut parts = [IoSliceMut::new(&mut packet)];
        recvmsg(socket, &mut parts, &mut control, flags)
    };
    let received = match received {
        Err(Errno::CONNRESET) => return Err(io::ErrorKind::UnexpectedEof.into()),
        received => received?,
    };
    let mut memory = None;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            memory = rights.last().map(File::from);
        }
    }
    if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(invalid(
            "it sent a packet of more than 64 KiB or with more than one descriptor",
        ));
    }
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    packet.truncate(received.bytes);
    Ok((packet, memory))
}

fn wait(socket: &OwnedFd, until: Instant) -> io::Result<()> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let time = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&time)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Memory with these bytes that nobody can change.
pub(super) fn sealed(bytes: &[u8]) -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut memory = File::from(memfd_create("starbelt-native", flags)?);
    memory.write_all(bytes)?;
    fcntl_add_seals(&memory, SEALS)?;
    Ok(memory)
}

/// The bytes of memory that the program can change no more.
pub(super) fn read(memory: &File, bytes_max: usize) -> io::Result<Vec<u8>> {
    let seals = fcntl_get_seals(memory).unwrap_or(SealFlags::empty());
    if !seals.contains(SEALS) {
        return Err(invalid(
            "it sent memory that is not sealed against writing, shrinking, growing and sealing",
        ));
    }
    let length = usize::try_from(fstat(memory)?.st_size).ok().filter(|length| *length <= bytes_max);
    let length = length.ok_or_else(|| invalid("it sent more bytes than an answer may have"))?;
    let mut bytes = vec![0; length];
    let mut at = 0;
    while at < length {
        match pread(memory, &mut bytes[at..], at as u64)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => at += more,
        }
    }
    Ok(bytes)
}

fn invalid(rule: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, rule)
}
