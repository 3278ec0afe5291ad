//! Compiled code survives a restart, and nothing else takes its place.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use runtime::{CacheConfig, DeviceSecret, ModuleHash, Runtime, RuntimeConfig};
use sha2::{Digest as _, Sha256};

use crate::puppet::{Result, call, idle_guest, puppet};

fn runtime(dir: &Path, secret: u8) -> Result<Runtime> {
    let secret = DeviceSecret::new([secret; 32]);
    let cache = Some(CacheConfig { dir: dir.to_owned(), secret });
    Ok(Runtime::new(RuntimeConfig { cache, ..RuntimeConfig::default() })?)
}

fn hash(wasm: &[u8]) -> ModuleHash {
    Sha256::digest(wasm).into()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("the folder is there");
    entries.map(|entry| entry.expect("it can be listed").path()).collect()
}

/// A folder that holds the puppet's code, and the file of the code.
fn filled() -> Result<(tempfile::TempDir, PathBuf)> {
    let dir = tempfile::tempdir()?;
    runtime(dir.path(), 1)?.load(&puppet()?)?;
    let mut files = files(dir.path());
    let file = files.pop().filter(|_| files.is_empty()).ok_or("one file")?;
    Ok((dir, file))
}

#[test]
fn code_is_compiled_once_and_works_after_a_restart() -> Result {
    let (dir, file) = filled()?;
    assert_eq!(fs::metadata(&file)?.permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(dir.path())?.permissions().mode() & 0o077, 0);
    let (wasm, again) = (puppet()?, runtime(dir.path(), 1)?);
    let compiled = runtime(tempfile::tempdir()?.path(), 1)?.load(&wasm)?;
    let cached = again.load_cached(&hash(&wasm)).ok_or("it is in the cache")?;
    assert_eq!(cached.facts(), compiled.facts());
    assert!(cached.compiled_in() < compiled.compiled_in());
    let stage = (again, cached);
    assert_eq!(call(&stage, "Echo").outcome?, b"Echo");
    Ok(())
}

#[test]
fn a_changed_byte_anywhere_is_noticed_and_compiled_anew() -> Result {
    let (dir, code) = filled()?;
    let wasm = puppet()?;
    let good = fs::read(&code)?;
    // In the code; and in what follows it: facts and their length, the seal, what ends the file.
    let end = good.len() - 100;
    for at in (0..end).step_by(end / 20).chain(end..good.len()) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        fs::write(&code, &bad)?;
        let runtime = runtime(dir.path(), 1)?;
        assert!(runtime.load_cached(&hash(&wasm)).is_none(), "byte {at}");
        assert!(files(dir.path()).is_empty(), "what is of no use is removed");
        // One in four is enough: compiling takes longest.
        if at % 4 == 0 {
            let function = runtime.load(&wasm)?;
            assert_eq!(call(&(runtime, function), "Echo").outcome?, b"Echo");
            assert_eq!(fs::read(&code)?.len(), good.len(), "a good one is in its place");
        }
    }
    Ok(())
}

#[test]
fn cut_and_foreign_files_are_not_taken() -> Result {
    let (dir, code) = filled()?;
    let (wasm, good) = (puppet()?, fs::read(&code)?);
    // The seal (40 bytes with what ends the file) and what it seals.
    let (sealed, seal) = good.split_at(good.len() - 40);
    let grown = [&good[..], b"more"].concat();
    let grown_inside = [sealed, b"more", seal].concat();
    let cut_inside = [&sealed[..sealed.len() - 4], seal].concat();
    let half = &good[..good.len() / 2];
    for bad in [half, &[], &wasm[..], &grown, &grown_inside, &cut_inside, sealed, &seal[..30], seal]
    {
        fs::write(&code, bad)?;
        assert!(runtime(dir.path(), 1)?.load_cached(&hash(&wasm)).is_none());
    }
    Ok(())
}

#[test]
fn code_of_another_device_is_not_taken() -> Result {
    let (dir, _) = filled()?;
    assert!(runtime(dir.path(), 2)?.load_cached(&hash(&puppet()?)).is_none());
    assert!(files(dir.path()).is_empty());
    Ok(())
}

#[test]
fn code_under_the_name_of_another_module_is_not_taken() -> Result {
    let (dir, code) = filled()?;
    let other = crate::puppet::component(&idle_guest("(memory (export \"memory\") 1)"))?;
    runtime(dir.path(), 1)?.load(&other)?;
    let is_other = |file: &PathBuf| *file != code;
    fs::copy(files(dir.path()).into_iter().find(is_other).ok_or("two files")?, &code)?;
    let runtime = runtime(dir.path(), 1)?;
    assert!(runtime.load_cached(&hash(&puppet()?)).is_none());
    assert!(runtime.load_cached(&hash(&other)).is_some());
    Ok(())
}

#[test]
fn a_link_in_the_folder_is_not_followed() -> Result {
    let (dir, code) = filled()?;
    let elsewhere = tempfile::tempdir()?;
    let place = elsewhere.path().join("code");
    fs::rename(&code, &place)?;
    symlink(&place, &code)?;
    assert!(runtime(dir.path(), 1)?.load_cached(&hash(&puppet()?)).is_none());
    Ok(())
}

#[test]
fn what_does_not_belong_there_and_old_code_are_removed() -> Result {
    let (dir, file) = filled()?;
    let name = file.file_name().and_then(|name| name.to_str()).ok_or("a name")?;
    let (module, _) = name.split_once('-').ok_or("two parts")?;
    let of_first_layout = name.replace(".code", ".seal");
    for other in [format!("{module}-0123456789abcdef.code"), "x.part".to_owned(), of_first_layout] {
        fs::write(dir.path().join(other), "old")?;
    }
    runtime(dir.path(), 1)?;
    assert_eq!(files(dir.path()), [file]);
    Ok(())
}

#[test]
fn a_folder_that_cannot_be_made_is_told() -> Result {
    let dir = tempfile::tempdir()?;
    let blocked = dir.path().join("file");
    fs::write(&blocked, "in the way")?;
    let error = runtime(&blocked, 1).expect_err("it is no folder").to_string();
    assert_eq!(error, "the folder of compiled code cannot be used");
    Ok(())
}

#[test]
fn what_cannot_be_kept_is_used_all_the_same() -> Result {
    let dir = tempfile::tempdir()?;
    let runtime = runtime(&dir.path().join("code"), 1)?;
    // As where a disk is full or gone: no file can be made.
    fs::remove_dir(dir.path().join("code"))?;
    let wasm = puppet()?;
    let function = runtime.load(&wasm)?;
    assert!(runtime.load_cached(&hash(&wasm)).is_none());
    assert_eq!(call(&(runtime, function), "Echo").outcome?, b"Echo");
    Ok(())
}
