//! Kernels on a graphics processor, by wgpu over Vulkan. The driver's own threads aside, none wait here: callers poll.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use types::Backend as Processor;

use super::{Backend, Failure, Prepared, Source, Workload};
use crate::kernel::{Kernel, KernelCall};
use crate::tensor::Tensor;

/// A device that is silent for so long is taken for lost; drivers reset theirs after 2 to 10 s.
const STALL_MAX: Duration = Duration::from_secs(10);
/// Most workgroups in one direction, as WebGPU guarantees it and `add_relu.wgsl` counts on it.
const GROUPS_MAX: u32 = 65_535;
/// What is put behind the name of a device that is none.
const SOFTWARE: &str = "software Vulkan, for correctness only";

/// The back end.
#[derive(Debug)]
pub struct Vulkan {
    takes_software: bool,
    device: Mutex<Option<Arc<Device>>>,
}

/// One opening of a device.
#[derive(Debug)]
struct Device {
    device: wgpu::Device,
    queue: wgpu::Queue,
    /// Why it was lost, once it is.
    lost: Arc<Mutex<Option<String>>>,
    /// Since when work is under way whose caller gave up; one at a time, by the queue before this back end.
    unfinished: Mutex<Option<Instant>>,
}

impl Vulkan {
    /// The best graphics processor that there is. An implementation on the processor is refused: it is about 30 times slower than the
    /// processor itself.
    pub fn new() -> Self {
        Self { takes_software: false, device: Mutex::default() }
    }

    /// The same, for tests of correctness, where an implementation on the processor will do.
    pub fn for_correctness() -> Self {
        Self { takes_software: true, ..Self::new() }
    }

    /// Destroys the device, which then is lost as after a reset by its driver: for drills and tests.
    pub fn destroy_device(&self) {
        if let Some(device) = lock(&self.device).as_ref() {
            device.device.destroy();
        }
    }
}

impl Default for Vulkan {
    fn default() -> Self {
        Self::new()
    }
}

impl Backend for Vulkan {
    fn name(&self) -> &str {
        "gpu-vulkan"
    }

    fn processor(&self) -> Processor {
        Processor::InferGpu
    }

    fn runs(&self, workload: Workload) -> bool {
        workload == Workload::Kernels
    }

    fn open(&self) -> Result<String, Failure> {
        // The old device goes first: memory that it holds may be what the new one lacks.
        *lock(&self.device) = None;
        let (device, name) = Device::open(self.takes_software)?;
        *lock(&self.device) = Some(Arc::new(device));
        Ok(name)
    }

    fn prepare(&self, source: Source<'_>) -> Result<Box<dyn Prepared>, Failure> {
        let Source::Kernel(kernel) = source else {
            return Err(Failure::Refused("it runs kernels only".to_owned()));
        };
        let device = lock(&self.device).clone();
        let device = device.ok_or_else(|| Failure::Lost("there is no device".to_owned()))?;
        let pipeline = device.guarded(|device| {
            let source = wgpu::ShaderSource::Wgsl(kernel.wgsl().into());
            let module = wgpu::ShaderModuleDescriptor { label: None, source };
            let module = device.create_shader_module(module);
            device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: None,
                layout: None,
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                cache: None,
            })
        })?;
        Ok(Box::new(Ready { device, pipeline, kernel }))
    }
}

impl Device {
    fn open(takes_software: bool) -> Result<(Self, String), Failure> {
        let lost = |text: String| Failure::Lost(text);
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        descriptor.backends = wgpu::Backends::VULKAN;
        let instance = wgpu::Instance::new(descriptor);
        let options = wgpu::RequestAdapterOptions {
            power_preference: wgpu::PowerPreference::HighPerformance,
            ..wgpu::RequestAdapterOptions::default()
        };
        let adapter = at_once(instance.request_adapter(&options))?;
        let adapter = adapter.map_err(|error| lost(format!("no Vulkan adapter: {error}")))?;
        let info = adapter.get_info();
        let is_software = info.device_type == wgpu::DeviceType::Cpu;
        let name = match is_software {
            true => format!("{} ({SOFTWARE})", info.name),
            false => info.name,
        };
        if is_software && !takes_software {
            return Err(lost(format!("the only Vulkan adapter is {name}")));
        }
        let (device, queue) = at_once(adapter.request_device(&wgpu::DeviceDescriptor {
            required_limits: adapter.limits(),
            ..wgpu::DeviceDescriptor::default()
        }))?
        .map_err(|error| lost(format!("{name} does not open: {error}")))?;
        let why = Arc::new(Mutex::new(None));
        let told = Arc::clone(&why);
        device.set_device_lost_callback(move |reason, text| {
            *lock(&told) = Some(format!("device lost ({reason:?}): {text}"));
        });
        let told = Arc::clone(&why);
        // Unlike wgpu's own handler, which ends the process.
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            *lock(&told) = Some(format!("error out of turn: {error}"));
        }));
        let device = Self { device, queue, lost: why, unfinished: Mutex::default() };
        Ok((device, name))
    }

    /// Does something with the device; whatever goes wrong meanwhile is the answer.
    fn guarded<T>(&self, action: impl FnOnce(&wgpu::Device) -> T) -> Result<T, Failure> {
        self.check()?;
        let filters = [
            wgpu::ErrorFilter::OutOfMemory,
            wgpu::ErrorFilter::Validation,
            wgpu::ErrorFilter::Internal,
        ];
        let scopes = filters.map(|filter| self.device.push_error_scope(filter));
        let result = action(&self.device);
        let mut failure = None;
        // The last that was opened is closed first.
        for scope in scopes.into_iter().rev() {
            failure = match at_once(scope.pop())? {
                Some(wgpu::Error::OutOfMemory { source }) => {
                    Some(Failure::OutOfMemory(source.to_string()))
                }
                Some(other) => failure.or_else(|| Some(Failure::Lost(other.to_string()))),
                None => failure,
            };
        }
        // A lost device explains whatever else went wrong.
        self.check()?;
        failure.map_or(Ok(result), Err)
    }

    fn check(&self) -> Result<(), Failure> {
        lock(&self.lost).clone().map_or(Ok(()), |reason| Err(Failure::Lost(reason)))
    }

    /// Waits until everything that was handed to the device is done.
    fn wait(&self, deadline: Instant) -> Result<(), Failure> {
        let now = Instant::now();
        let since = *lock(&self.unfinished).get_or_insert(now);
        let patience = (since + STALL_MAX).saturating_duration_since(now);
        let timeout = deadline.saturating_duration_since(now).min(patience);
        let wait = wgpu::PollType::Wait { submission_index: None, timeout: Some(timeout) };
        match self.device.poll(wait) {
            Ok(_) => {
                *lock(&self.unfinished) = None;
                self.check()
            }
            Err(wgpu::PollError::Timeout) if since + STALL_MAX <= Instant::now() => {
                let seconds = STALL_MAX.as_secs();
                Err(Failure::Lost(format!("the device has been silent for {seconds} s")))
            }
            Err(wgpu::PollError::Timeout) => Err(Failure::Deadline),
            Err(error) => Err(Failure::Lost(error.to_string())),
        }
    }
}

#[derive(Debug)]
struct Ready {
    device: Arc<Device>,
    pipeline: wgpu::ComputePipeline,
    kernel: Kernel,
}

impl Prepared for Ready {
    fn run(&self, inputs: &[&Tensor], deadline: Instant) -> Result<Vec<Tensor>, Failure> {
        let refused = |text: String| Failure::Refused(text);
        let call = self.kernel.check(inputs).map_err(|fault| refused(fault.to_string()))?;
        let groups = self.groups(&call, inputs)?;
        if lock(&self.device.unfinished).is_some() {
            self.device.wait(deadline)?;
        }
        let staging = self.device.guarded(|device| {
            let staging = self.submit(device, inputs, &call, groups);
            // Its outcome shows when the range is asked for.
            staging.map_async(wgpu::MapMode::Read, .., drop);
            staging
        })?;
        self.device.wait(deadline)?;
        let data = staging.get_mapped_range(..);
        let data = data.map_err(|error| Failure::Lost(format!("no answer to read: {error}")))?;
        let tensor = call.output(data.to_vec()).map_err(|error| refused(error.to_string()))?;
        Ok(vec![tensor])
    }

    fn bytes(&self) -> u64 {
        // A compiled shader and its layout.
        64 * 1024
    }
}

impl Ready {
    /// How many workgroups, x and y; none where the device cannot hold the buffers or has too few.
    fn groups(&self, call: &KernelCall, inputs: &[&Tensor]) -> Result<[u32; 2], Failure> {
        let limits = self.device.device.limits();
        let largest = inputs.iter().map(|input| input.data().len() as u64).max().unwrap_or(0);
        let largest = largest.max(call.output_bytes());
        let bound = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size);
        if bound < largest {
            let text = format!("a tensor of {largest} bytes, the device takes {bound}");
            return Err(Failure::Refused(text));
        }
        let [across, down] = match call.kernel {
            Kernel::AddRelu => {
                let groups = call.sizes[0].div_ceil(256);
                [groups.min(GROUPS_MAX), groups.div_ceil(GROUPS_MAX)]
            }
            Kernel::MatMul | Kernel::ConvRelu => {
                let (width, rows) = call
                    .dims
                    .split_last()
                    .map_or((1, 1), |(width, rest)| (*width, rest.iter().product::<u32>()));
                [width.div_ceil(16), rows.div_ceil(16)]
            }
        };
        let bound = limits.max_compute_workgroups_per_dimension.min(GROUPS_MAX);
        if bound < across.max(down) {
            return Err(Failure::Refused(format!("{across} × {down} workgroups, at most {bound}")));
        }
        Ok([across, down])
    }

    /// Hands the work to the device; answers the buffer that the output is copied to.
    fn submit(
        &self,
        device: &wgpu::Device,
        inputs: &[&Tensor],
        call: &KernelCall,
        [across, down]: [u32; 2],
    ) -> wgpu::Buffer {
        use wgpu::BufferUsages as Usage;

        let buffer = |size: u64, usage: Usage| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size,
                usage,
                mapped_at_creation: false,
            })
        };
        let filled = |data: &[u8]| {
            let buffer = buffer(data.len() as u64, Usage::STORAGE | Usage::COPY_DST);
            self.device.queue.write_buffer(&buffer, 0, data);
            buffer
        };
        let sizes: Vec<u8> = call.sizes.iter().flat_map(|size| size.to_le_bytes()).collect();
        let output = buffer(call.output_bytes(), Usage::STORAGE | Usage::COPY_SRC);
        let staging = buffer(call.output_bytes(), Usage::MAP_READ | Usage::COPY_DST);
        let mut buffers = vec![filled(&sizes)];
        buffers.extend(inputs.iter().map(|input| filled(input.data())));
        buffers.push(output.clone());
        let entries: Vec<wgpu::BindGroupEntry<'_>> = (0..)
            .zip(&buffers)
            .map(|(binding, buffer)| wgpu::BindGroupEntry {
                binding,
                resource: buffer.as_entire_binding(),
            })
            .collect();
        let layout = self.pipeline.get_bind_group_layout(0);
        let group = wgpu::BindGroupDescriptor { label: None, layout: &layout, entries: &entries };
        let group = device.create_bind_group(&group);
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(&self.pipeline);
            pass.set_bind_group(0, &group, &[]);
            pass.dispatch_workgroups(across, down, 1);
        }
        encoder.copy_buffer_to_buffer(&output, 0, &staging, 0, call.output_bytes());
        self.device.queue.submit([encoder.finish()]);
        staging
    }
}

/// What a future of wgpu gives: off the web they are all done when they are made.
fn at_once<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Ok(value),
        Poll::Pending => {
            Err(Failure::Lost("the graphics library did not answer at once".to_owned()))
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
