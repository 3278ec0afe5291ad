//! Files: there are none. No folder is opened for a function in advance, and without one it can name no file; what it could
//! still ask is denied.

use wasmtime::component::Resource;

use super::Nothing;
use super::bindings::wasi::filesystem::preopens;
use super::bindings::wasi::filesystem::types::{
    Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, ErrorCode, Host,
    HostDescriptor, HostDirectoryEntryStream, MetadataHashValue, NewTimestamp, OpenFlags,
    PathFlags,
};
use super::streams::{Input, Output};
use crate::context::Context;

/// A file or folder that nobody can have.
type File = Resource<Nothing>;

impl preopens::Host for Context {
    fn get_directories(&mut self) -> Vec<(File, String)> {
        Vec::new()
    }
}

impl Host for Context {
    fn filesystem_error_code(&mut self, _error: Resource<Nothing>) -> Option<ErrorCode> {
        None
    }
}

/// Operations on a file, with what they take and what they would answer.
macro_rules! denied {
    ($($operation:ident($($argument:ident: $of:ty),*) -> $answer:ty;)*) => {
        $(fn $operation(&mut self, _file: File, $($argument: $of),*) -> Result<$answer, ErrorCode> {
            Err(ErrorCode::Access)
        })*
    };
}

impl HostDescriptor for Context {
    denied! {
        read_via_stream(_offset: u64) -> Resource<Input>;
        write_via_stream(_offset: u64) -> Resource<Output>;
        append_via_stream() -> Resource<Output>;
        advise(_offset: u64, _length: u64, _advice: Advice) -> ();
        sync_data() -> ();
        get_flags() -> DescriptorFlags;
        get_type() -> DescriptorType;
        set_size(_size: u64) -> ();
        set_times(_accessed: NewTimestamp, _modified: NewTimestamp) -> ();
        read(_length: u64, _offset: u64) -> (Vec<u8>, bool);
        write(_buffer: Vec<u8>, _offset: u64) -> u64;
        read_directory() -> File;
        sync() -> ();
        create_directory_at(_path: String) -> ();
        stat() -> DescriptorStat;
        stat_at(_flags: PathFlags, _path: String) -> DescriptorStat;
        set_times_at(_flags: PathFlags, _path: String, _accessed: NewTimestamp, _modified: NewTimestamp) -> ();
        link_at(_flags: PathFlags, _path: String, _folder: File, _new: String) -> ();
        open_at(_how: PathFlags, _path: String, _open: OpenFlags, _flags: DescriptorFlags) -> File;
        readlink_at(_path: String) -> String;
        remove_directory_at(_path: String) -> ();
        rename_at(_path: String, _folder: File, _new: String) -> ();
        symlink_at(_path: String, _new: String) -> ();
        unlink_file_at(_path: String) -> ();
        metadata_hash() -> MetadataHashValue;
        metadata_hash_at(_flags: PathFlags, _path: String) -> MetadataHashValue;
    }

    fn is_same_object(&mut self, _file: File, _other: File) -> bool {
        false
    }

    fn drop(&mut self, file: File) -> wasmtime::Result<()> {
        self.wasi.take_back(file)
    }
}

impl HostDirectoryEntryStream for Context {
    fn read_directory_entry(&mut self, _stream: File) -> Result<Option<DirectoryEntry>, ErrorCode> {
        Err(ErrorCode::Access)
    }

    fn drop(&mut self, stream: File) -> wasmtime::Result<()> {
        self.wasi.take_back(stream)
    }
}
