//! Removes single hot pixels, which are faults of the sensor, and keeps edges.

/// Replaces each pixel by the median of the three by three around it; the border stays as it is.
pub(crate) fn median(width: usize, pixels: &[u8]) -> Vec<u8> {
    let mut smooth = pixels.to_vec();
    let rows: Vec<&[u8]> = pixels.chunks_exact(width).collect();
    for (y, three) in rows.windows(3).enumerate() {
        let [above, here, below] = three else { continue };
        let columns = above.windows(3).zip(here.windows(3)).zip(below.windows(3));
        for (x, ((above, here), below)) in columns.enumerate() {
            let mut values = [0; 9];
            let around = above.iter().chain(here).chain(below);
            values.iter_mut().zip(around).for_each(|(value, pixel)| *value = *pixel);
            values.sort_unstable();
            if let Some(pixel) = smooth.get_mut((y + 1) * width + x + 1) {
                *pixel = values[4];
            }
        }
    }
    smooth
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_hot_pixel_vanishes() {
        let mut pixels = vec![80; 25];
        pixels[12] = 255;
        assert_eq!(median(5, &pixels), vec![80; 25]);
    }

    #[test]
    fn a_hot_square_keeps_its_middle() {
        let mut pixels = vec![80; 49];
        for row in 2..5 {
            pixels[row * 7 + 2..row * 7 + 5].fill(200);
        }
        let smooth = median(7, &pixels);
        assert_eq!((smooth[3 * 7 + 3], smooth[3 * 7 + 2], smooth[2 * 7 + 2]), (200, 200, 80));
    }

    #[test]
    fn the_border_stays_and_small_images_are_no_panic() {
        assert_eq!(median(3, &[9, 1, 1, 1, 1, 1, 1, 1, 1])[0], 9);
        assert_eq!(median(2, &[1, 2, 3, 4]), [1, 2, 3, 4]);
        assert_eq!(median(4, &[]), []);
    }
}
