//! Finds spots in one frame that are hotter than their surroundings.
//!
//! A pixel is hot when it exceeds the mean of a ring around it, so that warm ground and the shadow of
//! a cloud are none (a detector with a constant rate of false alarms, CFAR). Hot pixels that touch
//! are one spot.

/// Outer radius of the ring, pixels.
const RING_OUTER: usize = 6;
/// Radius of what the ring leaves out: the largest fire that is one spot.
const RING_INNER: usize = 3;
/// Steps by which a hot pixel exceeds the ring's mean (20 K).
const CONTRAST_MIN: u32 = 40;
/// Fewest pixels of a spot.
const AREA_MIN: u32 = 4;

/// A hot spot of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    /// Column of its centroid.
    pub(crate) x: u16,
    /// Row of its centroid.
    pub(crate) y: u16,
    /// Its pixels.
    pub(crate) area: u32,
    /// The largest value.
    pub(crate) peak: u8,
}

/// The hot spots of a frame, from top to bottom.
pub(crate) fn spots(width: usize, pixels: &[u8]) -> Vec<Spot> {
    let mut hot = hot_pixels(width, pixels);
    let mut spots = Vec::new();
    for start in 0..hot.len() {
        if hot.get(start) == Some(&true) {
            let members = component(width, &mut hot, start);
            spots.extend(spot(width, pixels, &members));
        }
    }
    spots
}

/// Which pixels are hotter than the ring around them.
fn hot_pixels(width: usize, pixels: &[u8]) -> Vec<bool> {
    let rows: Vec<&[u8]> = pixels.chunks_exact(width).collect();
    let mut hot = Vec::with_capacity(pixels.len());
    for (y, row) in rows.iter().enumerate() {
        for (x, value) in row.iter().enumerate() {
            let outer = window(&rows, x, y, RING_OUTER);
            let inner = window(&rows, x, y, RING_INNER);
            let (sum, count) = (outer.0 - inner.0, outer.1 - inner.1);
            // value − sum / count ≥ CONTRAST_MIN, without the division.
            hot.push(sum + CONTRAST_MIN * count <= u32::from(*value) * count);
        }
    }
    hot
}

/// Sum and number of the pixels in a square around a place, as far as the image goes.
fn window(rows: &[&[u8]], x: usize, y: usize, radius: usize) -> (u32, u32) {
    let clip = |middle: usize, end: usize| {
        middle.saturating_sub(radius)..middle.saturating_add(radius + 1).min(end)
    };
    let (mut sum, mut count) = (0, 0);
    for row in rows.get(clip(y, rows.len())).unwrap_or_default() {
        for value in row.get(clip(x, row.len())).unwrap_or_default() {
            sum += u32::from(*value);
            count += 1;
        }
    }
    (sum, count)
}

/// Takes the hot pixels that hang together with `start` out of `hot`.
fn component(width: usize, hot: &mut [bool], start: usize) -> Vec<usize> {
    let mut members = Vec::new();
    let mut next = vec![start];
    while let Some(at) = next.pop() {
        match hot.get_mut(at) {
            Some(mark) if *mark => *mark = false,
            _ => continue,
        }
        members.push(at);
        let column = at % width;
        let left = (column != 0).then(|| at - 1);
        let right = (column + 1 != width).then_some(at + 1);
        next.extend([left, right, at.checked_sub(width), Some(at + width)].into_iter().flatten());
    }
    members
}

/// The spot that these pixels make, if they are enough.
fn spot(width: usize, pixels: &[u8], members: &[usize]) -> Option<Spot> {
    let area = u32::try_from(members.len()).ok().filter(|area| AREA_MIN <= *area)?;
    let mean = |coordinate: fn(usize, usize) -> usize| {
        let sum: usize = members.iter().map(|at| coordinate(*at, width)).sum();
        u16::try_from((sum + members.len() / 2) / members.len()).ok()
    };
    let peak = members.iter().filter_map(|at| pixels.get(*at)).max()?;
    Some(Spot {
        x: mean(|at, width| at % width)?,
        y: mean(|at, width| at / width)?,
        area,
        peak: *peak,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 32;

    fn image(squares: &[(usize, usize, usize, u8)]) -> Vec<u8> {
        let mut pixels = vec![80; SIDE * SIDE];
        for (x, y, side, value) in squares {
            for row in *y..y + side {
                pixels[row * SIDE + x..row * SIDE + x + side].fill(*value);
            }
        }
        pixels
    }

    #[track_caller]
    fn check(squares: &[(usize, usize, usize, u8)], expected: &[Spot]) {
        assert_eq!(spots(SIDE, &image(squares)), expected);
    }

    #[test]
    fn hot_squares_are_spots_at_their_middles() {
        check(
            &[(4, 5, 3, 200), (20, 22, 5, 150)],
            &[Spot { x: 5, y: 6, area: 9, peak: 200 }, Spot { x: 22, y: 24, area: 25, peak: 150 }],
        );
    }

    #[test]
    fn small_and_faint_ones_are_none() {
        check(&[(4, 5, 1, 255), (20, 22, 3, 119)], &[]);
    }

    #[test]
    fn a_border_between_warm_and_cold_ground_is_none() {
        check(&[(0, 0, 16, 110)], &[]);
    }

    #[test]
    fn a_spot_in_the_corner_is_whole() {
        check(&[(0, 0, 3, 200)], &[Spot { x: 1, y: 1, area: 9, peak: 200 }]);
    }

    #[test]
    fn spots_do_not_join_round_the_edge() {
        check(
            &[(30, 4, 2, 200), (0, 5, 2, 200)],
            &[Spot { x: 31, y: 5, area: 4, peak: 200 }, Spot { x: 1, y: 6, area: 4, peak: 200 }],
        );
    }
}
