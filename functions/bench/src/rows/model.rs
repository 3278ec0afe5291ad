//! The additive performance model: T = T_fetch + T_load + T_init + T_exec κ(mode, mix) + bytes c_ser.
//!
//! T_exec is the native time of the same input, κ a sum over what the pre-scan counts in the module (the features of the mode
//! decision), T_load a constant and a share of the compiled bytes. T_fetch is the module's size over the rate of the link; nothing is fetched
//! here, so it is not fitted. One fit for each way of executing, over its warm and cold calls.

use crate::fit::{Sample, fit, mape, predict};
use crate::measure::{Series, float};
use crate::row::Row;
use crate::rows::Measured;

/// What the weights stand for.
pub(crate) const FEATURES: [&str; N] = [
    "T_init, µs",
    "T_load, µs",
    "T_load, ns for a byte of code",
    "c_ser, ns for a byte of body",
    "κ",
    "κ, for a float operation in an instruction",
    "κ, for a byte moved in an instruction",
    "κ, for a branch in an instruction",
];
const N: usize = 8;

/// A fit of one way of executing.
#[derive(Debug)]
pub(crate) struct Model {
    /// Which.
    pub(crate) mode: &'static str,
    /// Calls that were fitted.
    pub(crate) samples: usize,
    /// In the order of [`FEATURES`].
    pub(crate) weights: [f64; N],
    /// Mean of the relative errors on what was fitted, percent.
    pub(crate) mape: f64,
    /// The same on each function by a fit without it: what a new function may expect.
    pub(crate) mape_unseen: f64,
    /// The median of the relative errors of unseen functions, percent.
    pub(crate) median_unseen: f64,
}

impl Model {
    pub(crate) fn rows(&self) -> Vec<Row> {
        let name = |what: &str| format!("model_{}_{what}", self.mode);
        let note = || format!("over {} warm and cold calls", self.samples);
        vec![
            Row::new(name("mape"), "%", self.mape).note(note()),
            Row::new(name("mape_unseen"), "%", self.mape_unseen)
                .note("each function by a fit without it"),
            Row::new(name("median_unseen"), "%", self.median_unseen)
                .note("the same, the median error"),
        ]
    }
}

/// A call with the function that it is of.
#[derive(Clone, Debug)]
struct Call {
    function: &'static str,
    sample: Sample<N>,
}

/// Fits each way of executing.
pub(crate) fn fit_all(suite: &[Measured]) -> Vec<Model> {
    type Pick = fn(&Measured) -> (&Series, &Series, f64);
    let ways: [(&str, Pick); 3] = [
        ("aot", |m| (&m.aot, &m.cold.aot, float(m.code_bytes[0]))),
        ("jit", |m| (&m.jit, &m.cold.jit, float(m.wasm_bytes as u64))),
        ("pulley", |m| (&m.pulley, &m.cold.pulley, float(m.code_bytes[1]))),
    ];
    let of = |(mode, pick): (&'static str, Pick)| {
        let calls: Vec<Call> = suite
            .iter()
            .flat_map(|measured| {
                let (warm, cold, code_bytes) = pick(measured);
                [call(measured, warm, None), call(measured, cold, Some(code_bytes))]
            })
            .collect();
        model(mode, &calls)
    };
    ways.map(of).into_iter().collect()
}

/// The features of a call, in microseconds as its time; `code_bytes` if they were loaded for it.
fn call(measured: &Measured, time: &Series, code_bytes: Option<f64>) -> Call {
    let mix = &measured.facts.mix;
    let all = float(mix.weighted_instructions.max(1));
    let native_us = measured.native.p50() / 1e3;
    let bytes = float((measured.body_bytes + measured.answer_bytes) as u64);
    let features = [
        1.0,
        code_bytes.map_or(0.0, |_| 1.0),
        code_bytes.unwrap_or(0.0) / 1e3,
        bytes / 1e3,
        native_us,
        native_us * float(mix.weighted_flops) / all,
        native_us * float(mix.weighted_bytes) / all,
        native_us * float(mix.branches) / float(mix.instructions.max(1)),
    ];
    Call { function: measured.name, sample: Sample { features, value: time.p50() / 1e3 } }
}

fn model(mode: &'static str, calls: &[Call]) -> Model {
    let samples: Vec<Sample<N>> = calls.iter().map(|call| call.sample.clone()).collect();
    let weights = fit(&samples);
    let pair = |weights: &[f64; N], s: &Sample<N>| (predict(weights, &s.features), s.value);
    let unseen: Vec<(f64, f64)> = calls
        .iter()
        .map(|call| {
            let others = calls.iter().filter(|other| other.function != call.function);
            let others: Vec<Sample<N>> = others.map(|other| other.sample.clone()).collect();
            pair(&fit(&others), &call.sample)
        })
        .collect();
    let errors: Vec<f64> = unseen.iter().map(|one| mape(std::iter::once(*one))).collect();
    Model {
        mode,
        samples: samples.len(),
        weights,
        mape: mape(samples.iter().map(|sample| pair(&weights, sample))),
        mape_unseen: mape(unseen.into_iter()),
        median_unseen: crate::measure::percentile(&errors, 50),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls whose times the formula itself makes are predicted, also those of functions that were left out.
    #[test]
    fn times_that_the_formula_makes_are_predicted() {
        let truth = [2.0, 40.0, 0.1, 0.2, 1.1, 0.5, 0.01, 2.0];
        let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let calls: Vec<Call> = (0_u32..64)
            .map(|at| {
                let x = |salt: u32| f64::from(at.wrapping_mul(salt).wrapping_add(salt >> 3) % 97);
                let cold = f64::from(at % 2);
                let native = 1.0 + x(31);
                let features = [
                    1.0,
                    cold,
                    cold * x(57),
                    x(13),
                    native,
                    native * x(71) / 97.0,
                    native * x(37) / 20.0,
                    native * x(89) / 400.0,
                ];
                let sample = Sample { features, value: predict(&truth, &features) };
                Call { function: names[at as usize / 8], sample }
            })
            .collect();
        let model = model("test", &calls);
        assert!(model.mape < 0.1 && model.mape_unseen < 1.0, "{model:?}");
    }
}
