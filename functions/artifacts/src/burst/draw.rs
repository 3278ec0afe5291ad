//! Draws a place and a burst of it.

use super::{FIRES, FRAMES, HEIGHT, REFINERIES, Target, WIDTH};

/// Nearest that two hot places of a seed come, pixels: their surroundings do not overlap.
const DISTANCE_MIN: i32 = 15;
/// Nearest that a hot place comes to the border, pixels.
const BORDER: i32 = 9;
/// Value of the coldest ground (10 °C).
const GROUND_MIN: i32 = 60;
/// Sides of the squares between which the ground is interpolated, and how much each varies.
const RELIEF: [(i32, i32); 2] = [(32, 36), (12, 12)];
/// Largest deviation of a pixel by noise of the sensor.
const NOISE: u64 = 3;
/// Most pixels of a frame that flash.
const FLASHES_MAX: u64 = 3;
/// Clouds of a burst.
const CLOUDS: usize = 2;

/// The numbers of `SplitMix64`: small, and the same everywhere.
#[derive(Debug)]
pub(super) struct Rng(u64);

impl Rng {
    /// The numbers of one stream of a seed.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut rng = Self(seed ^ stream.wrapping_mul(0xd134_2543_de82_ef95));
        rng.next();
        rng
    }

    /// A number below `bound`, which is small, so that the bias does not matter.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A number from `low` to `high`.
    fn within(&mut self, low: i32, high: i32) -> i32 {
        let span = u64::try_from(high - low + 1).expect("ranges are not empty");
        low + i32::try_from(self.below(span)).expect("ranges are small")
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) x: i32,
    pub(super) y: i32,
}

impl Spot {
    /// Square of the distance.
    fn distance2(self, x: i32, y: i32) -> i32 {
        (self.x - x).pow(2) + (self.y - y).pow(2)
    }
}

/// What does not change from burst to burst.
#[derive(Debug)]
pub(super) struct Place {
    ground: Vec<i32>,
    /// Where fire breaks out.
    pub(super) fires: Vec<Spot>,
    /// Where it is always hot.
    pub(super) refineries: Vec<Spot>,
}

impl Place {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed, 0);
        let mut ground = vec![GROUND_MIN; usize::from(WIDTH) * usize::from(HEIGHT)];
        for (side, height) in RELIEF {
            add_relief(&mut ground, &mut rng, side, height);
        }
        let mut spots: Vec<Spot> = Vec::new();
        while spots.len() < FIRES + REFINERIES {
            let x = rng.within(BORDER, i32::from(WIDTH) - 1 - BORDER);
            let y = rng.within(BORDER, i32::from(HEIGHT) - 1 - BORDER);
            // Ten discs of this size never fill the image, so a free place always turns up.
            if spots.iter().all(|spot| DISTANCE_MIN.pow(2) <= spot.distance2(x, y)) {
                spots.push(Spot { x, y });
            }
        }
        let refineries = spots.split_off(FIRES);
        Self { ground, fires: spots, refineries }
    }

    /// All frames of a burst in which `hot` places burn.
    pub(super) fn film(&self, rng: &mut Rng, hot: &[Target]) -> Vec<u8> {
        let clouds: Vec<Cloud> = (0..CLOUDS).map(|_| Cloud::new(rng)).collect();
        let mut pixels = Vec::new();
        for frame in 0..FRAMES {
            let burning: Vec<(&Target, i32)> = hot
                .iter()
                .filter(|target| target.first_frame <= frame)
                .map(|target| (target, rng.within(110, 130)))
                .collect();
            let start = pixels.len();
            for (at, (x, y)) in places().enumerate() {
                let ground = self.ground.get(at).copied().unwrap_or(GROUND_MIN);
                let shade: i32 = clouds.iter().map(|cloud| cloud.shade(frame, x, y)).sum();
                let heat: i32 = burning.iter().map(|(spot, rise)| heat(spot, *rise, x, y)).sum();
                let noise = i32::try_from(rng.below(2 * NOISE + 1)).expect("noise is small") - 3;
                pixels.push(clamp(ground - shade + heat + noise));
            }
            flash(rng, pixels.get_mut(start..).unwrap_or_default());
        }
        pixels
    }
}

/// A cold disc that drifts, darkest in its middle.
#[derive(Debug)]
struct Cloud {
    start: Spot,
    step: Spot,
    radius: i32,
    depth: i32,
}

impl Cloud {
    fn new(rng: &mut Rng) -> Self {
        Self {
            start: Spot {
                x: rng.within(-20, i32::from(WIDTH)),
                y: rng.within(0, i32::from(HEIGHT)),
            },
            step: Spot { x: rng.within(1, 3), y: rng.within(-1, 1) },
            radius: rng.within(12, 22),
            depth: rng.within(5, 12),
        }
    }

    /// How much colder it makes a place.
    fn shade(&self, frame: u16, x: i32, y: i32) -> i32 {
        let frame = i32::from(frame);
        let middle =
            Spot { x: self.start.x + self.step.x * frame, y: self.start.y + self.step.y * frame };
        let radius2 = self.radius.pow(2);
        let inside = radius2 - middle.distance2(x, y);
        if inside <= 0 { 0 } else { self.depth * inside / radius2 }
    }
}

/// How much hotter a fire makes a place: all of `rise` in its middle, three eighths at its border.
fn heat(target: &Target, rise: i32, x: i32, y: i32) -> i32 {
    let middle = Spot { x: i32::from(target.x), y: i32::from(target.y) };
    let distance2 = middle.distance2(x, y);
    if 5 < distance2 { 0 } else { rise * (8 - distance2) / 8 }
}

/// Some pixels flash: no fire, since they are alone.
fn flash(rng: &mut Rng, frame: &mut [u8]) {
    let size = u64::try_from(frame.len()).expect("a frame is small");
    for _ in 0..rng.below(FLASHES_MAX + 1) {
        let at = usize::try_from(rng.below(size)).expect("a frame is small");
        if let Some(pixel) = frame.get_mut(at) {
            *pixel = clamp(i32::from(*pixel) + rng.within(60, 120));
        }
    }
}

/// Adds heights of a coarse grid, interpolated between its corners.
fn add_relief(ground: &mut [i32], rng: &mut Rng, side: i32, height: i32) {
    let columns = i32::from(WIDTH) / side + 2;
    let rows = i32::from(HEIGHT) / side + 2;
    let corners: Vec<i32> = (0..columns * rows).map(|_| rng.within(0, height)).collect();
    let corner = |column: i32, row: i32| {
        let at = usize::try_from(row * columns + column).expect("the grid begins at 0");
        corners.get(at).copied().unwrap_or(0)
    };
    for ((x, y), value) in places().zip(ground) {
        let (column, right) = (x / side, x % side);
        let (row, down) = (y / side, y % side);
        let above = corner(column, row) * (side - right) + corner(column + 1, row) * right;
        let below = corner(column, row + 1) * (side - right) + corner(column + 1, row + 1) * right;
        *value += (above * (side - down) + below * down) / (side * side);
    }
}

/// All pixels, row by row.
fn places() -> impl Iterator<Item = (i32, i32)> {
    (0..i32::from(HEIGHT)).flat_map(|y| (0..i32::from(WIDTH)).map(move |x| (x, y)))
}

fn clamp(value: i32) -> u8 {
    u8::try_from(value.clamp(0, 255)).expect("it was clamped")
}
