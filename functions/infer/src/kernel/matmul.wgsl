// c = a · b, in tiles of 16 × 16 that a workgroup shares.
@group(0) @binding(0) var<storage, read> sizes: array<u32, 6>; // m, k, n
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> c: array<f32>;

var<workgroup> tile_a: array<f32, 256>;
var<workgroup> tile_b: array<f32, 256>;

@compute @workgroup_size(16, 16)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(local_invocation_id) at: vec3<u32>) {
    let m = sizes[0];
    let k = sizes[1];
    let n = sizes[2];
    let slot = at.y * 16u + at.x;
    var sum = 0.0;
    for (var start = 0u; start < k; start += 16u) {
        tile_a[slot] = 0.0;
        tile_b[slot] = 0.0;
        if (id.y < m && start + at.x < k) {
            tile_a[slot] = a[id.y * k + start + at.x];
        }
        if (start + at.y < k && id.x < n) {
            tile_b[slot] = b[(start + at.y) * n + id.x];
        }
        workgroupBarrier();
        for (var i = 0u; i < 16u; i += 1u) {
            sum += tile_a[at.y * 16u + i] * tile_b[i * 16u + at.x];
        }
        workgroupBarrier();
    }
    if (id.y < m && id.x < n) {
        c[id.y * n + id.x] = sum;
    }
}
