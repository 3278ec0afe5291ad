//! A native program for tests: z = 2 x + y, with every misbehavior on demand. The first argument says what it is.

use std::error::Error;
use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use infer::backend::Backend as _;
use infer::native::{Config, Native};
use infer::{Tensor, safetensors};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

const HELLO: &str = r#"{"protocol":1,"device":"a device of the test","inputs":[{"name":"x","kind":"f32","dims":[null]},
    {"name":"y","kind":"f32","dims":[null]}],"outputs":[{"name":"z","kind":"f32","dims":[null]}]}"#;

fn main() -> Result<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let what = arguments.next().ok_or("what it is to be is missing")?;
    match what.to_str() {
        // As the agent does.
        Some("launch") => Err(infer::native::enter(arguments).into()),
        Some("agent") => agent(),
        Some("exit") => Ok(ExitCode::from(7)),
        Some("garbage") => {
            say("hello?")?;
            std::thread::sleep(Duration::from_secs(60));
            Ok(ExitCode::SUCCESS)
        }
        Some("protocol-9") => serve(&HELLO.replace(":1,", ":9,"), 2.0),
        Some("no-kind") => serve(&HELLO.replace("f32", "f64"), 2.0),
        Some("wrong") => serve(HELLO, 3.0),
        _ => serve(HELLO, 2.0),
    }
}

/// Starts a program, says its id, and waits.
fn agent() -> Result<ExitCode> {
    let this = std::env::current_exe()?;
    let config = Config {
        name: "orphan".to_owned(),
        launcher: (this.clone(), vec!["launch".into()]),
        program: this,
        arguments: vec!["right".into()],
        environment: Vec::new(),
        gpu_memory_bytes: 0,
        probe_input: Vec::new(),
        probe_output: Vec::new(),
        fallback: None,
        confine: Arc::new(|_| String::new()),
    };
    let native = Native::new(config)?;
    native.open()?;
    writeln!(std::io::stdout(), "{}", native.process().ok_or("it has ended")?)?;
    std::thread::sleep(Duration::from_secs(60));
    Ok(ExitCode::SUCCESS)
}

fn say(packet: &str) -> Result {
    send(packet, None)
}

fn send(packet: &str, memory: Option<&File>) -> Result {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let rights: Vec<_> = memory.iter().map(|memory| memory.as_fd()).collect();
    if memory.is_some() && !control.push(SendAncillaryMessage::ScmRights(&rights)) {
        return Err("no room for a descriptor".into());
    }
    sendmsg(
        std::io::stdin(),
        &[IoSlice::new(packet.as_bytes())],
        &mut control,
        SendFlags::empty(),
    )?;
    Ok(())
}

/// The next job; none when the agent is done with us.
fn receive() -> Result<Option<(serde_json::Value, Vec<u8>)>> {
    let mut packet = vec![0; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut packet)];
    let received = recvmsg(std::io::stdin(), &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    if received.bytes == 0 {
        return Ok(None);
    }
    let rights = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut rights) => rights.next(),
        _ => None,
    });
    let memory: OwnedFd = rights.ok_or("a job without memory")?;
    let mut bytes = Vec::new();
    // The position is shared with whoever wrote it.
    let mut memory =
        File::open(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&memory)))?;
    memory.read_to_end(&mut bytes)?;
    Ok(Some((serde_json::from_slice(&packet[..received.bytes])?, bytes)))
}

fn memory(bytes: &[u8], seals: SealFlags) -> Result<File> {
    let mut memory =
        File::from(memfd_create("answer", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    memory.write_all(bytes)?;
    fcntl_add_seals(&memory, seals)?;
    Ok(memory)
}

fn serve(hello: &str, factor: f32) -> Result<ExitCode> {
    say(hello)?;
    let all = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    loop {
        let Some((job, bytes)) = receive()? else { return Ok(ExitCode::SUCCESS) };
        let id = job["id"].as_u64().ok_or("a job without a number")?;
        let inputs = safetensors::decode(&bytes)?;
        let values =
            |name: &str| inputs.iter().find(|input| input.name() == name).and_then(Tensor::to_f32);
        let (x, y) = values("x").zip(values("y")).ok_or("an input is missing")?;
        let z: Vec<f32> = x.iter().zip(&y).map(|(x, y)| factor * x + y).collect();
        let tensor =
            |name, z: &[f32]| Tensor::from_f32(name, vec![u32::try_from(z.len()).unwrap_or(0)], z);
        let answer = safetensors::encode(&[tensor("z", &z)?]);
        let ok = format!(r#"{{"id":{id},"ok":true}}"#);
        let error = |lost| format!(r#"{{"id":{id},"error":"no\nluck","lost":{lost}}}"#);
        // What it is to do wrong is the first value.
        match x.first().copied().unwrap_or_default() {
            1001.0 => std::thread::sleep(Duration::from_secs(60)),
            1002.0 => std::process::abort(),
            1003.0 => return Ok(ExitCode::from(3)),
            1004.0 => say("{{{")?,
            1005.0 => {
                send(&format!(r#"{{"id":{},"ok":true}}"#, id + 7), Some(&memory(&answer, all)?))?;
            }
            1006.0 => send(&ok, Some(&memory(&answer, SealFlags::WRITE | SealFlags::GROW)?))?,
            1007.0 => {
                let huge = memory(&answer, SealFlags::empty())?;
                huge.set_len(1 << 30)?;
                fcntl_add_seals(&huge, all)?;
                send(&ok, Some(&huge))?;
            }
            1008.0 => say(&error(false))?,
            1009.0 => say(&error(true))?,
            1010.0 => {
                let other = safetensors::encode(&[tensor("other", &z)?]);
                send(&ok, Some(&memory(&other, all)?))?;
            }
            1011.0 => say(&" ".repeat(100_000))?,
            1012.0 => say(&ok)?,
            1013.0 => send(&ok, Some(&memory(b"no tensors", all)?))?,
            1014.0 => send(&ok, Some(&File::open("/dev/zero")?))?,
            _ => send(&ok, Some(&memory(&answer, all)?))?,
        }
    }
}
