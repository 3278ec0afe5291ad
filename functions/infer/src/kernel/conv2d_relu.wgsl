// y = max(0, x ∗ w + bias), one value an invocation: id.x along a row, id.y counts rows of all output channels.
@group(0) @binding(0) var<storage, read> sizes: array<u32, 6>; // c, h, w, o, kh, kw
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(16, 16)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let channels = sizes[0];
    let height = sizes[1];
    let wide = sizes[2];
    let kh = sizes[4];
    let kw = sizes[5];
    let out_high = height - kh + 1u;
    let out_wide = wide - kw + 1u;
    if (out_wide <= id.x || out_high * sizes[3] <= id.y) {
        return;
    }
    let o = id.y / out_high;
    let top = id.y % out_high;
    var sum = bias[o];
    for (var c = 0u; c < channels; c += 1u) {
        for (var i = 0u; i < kh; i += 1u) {
            let row = (c * height + top + i) * wide + id.x;
            let weight = ((o * channels + c) * kh + i) * kw;
            for (var j = 0u; j < kw; j += 1u) {
                sum += x[row + j] * weights[weight + j];
            }
        }
    }
    y[id.y * out_wide + id.x] = max(sum, 0.0);
}
