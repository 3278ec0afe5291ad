// y = max(0, a + b), one value an invocation; a row of workgroups has 65535 of them.
@group(0) @binding(0) var<storage, read> sizes: array<u32, 6>; // count
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let at = id.y * 65535u * 256u + id.x;
    if (at < sizes[0]) {
        y[at] = max(a[at] + b[at], 0.0);
    }
}
