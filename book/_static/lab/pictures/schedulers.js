// DDIM (Song et al., 2021) and Euler (Karras et al., 2022) as diffusers computes them, from a scheduler_config.json.
// Numbers are rounded to float32 where the library rounds them, so that both end at the same picture.

const single = Math.fround;

/** A whole number, halves to the even one, as NumPy rounds. */
function round(value) {
  const below = Math.floor(value), rest = value - below;
  return rest < 0.5 || (rest === 0.5 && below % 2 === 0) ? below : below + 1;
}

/** torch.linspace: from both ends to the middle. */
function linspace(from, to, count) {
  const stride = single((single(to) - single(from)) / (count - 1));
  return Float32Array.from({length: count}, (_, i) =>
    i < count / 2 ? single(from) + stride * i : single(to) - stride * (count - 1 - i));
}

/**
 * What is left of the picture's signal at each time, squared: ᾱ.
 * @param {object} config a scheduler_config.json
 * @returns {Float32Array} one number for each time of the training
 */
export function signals(config) {
  const {num_train_timesteps: count, beta_start: from, beta_end: to} = config;
  let betas;
  if (config.trained_betas) betas = Float32Array.from(config.trained_betas);
  else if (config.beta_schedule === "linear") betas = linspace(from, to, count);
  else if (config.beta_schedule === "scaled_linear") betas = linspace(from ** 0.5, to ** 0.5, count).map((root) => root * root);
  else throw new Error(`The schedule ${config.beta_schedule} is not known here.`);
  const product = (alphas) => { let left = 1; return alphas.map((alpha) => { left = single(left * alpha); return left; }); };
  const alphas = betas.map((beta) => 1 - beta);
  const bar = product(alphas);
  if (!config.rescale_betas_zero_snr) return bar;
  // Shifted and stretched, so that nothing of the picture is left at the last time (Lin et al., 2024).
  const roots = bar.map(Math.sqrt), first = roots[0], last = roots[count - 1];
  const squares = roots.map((root) => { const moved = single(single(root - last) * single(first / single(first - last))); return moved * moved; });
  return product(squares.map((square, i) => 1 - single(1 - (i ? single(square / squares[i - 1]) : square))));
}

/** The times at which the network is asked, from noise to picture. */
function times(config, steps, whole) {
  const count = config.num_train_timesteps;
  if (config.timestep_spacing === "trailing") return Array.from({length: steps}, (_, i) => round(count - i * count / steps) - 1);
  if (config.timestep_spacing === "leading") {
    const stride = Math.floor(count / steps);
    return Array.from({length: steps}, (_, i) => (steps - 1 - i) * stride + (config.steps_offset || 0));
  }
  if (config.timestep_spacing === "linspace") {
    const at = Array.from({length: steps}, (_, i) => single((count - 1) * (steps - 1 - i) / Math.max(1, steps - 1)));
    return whole ? at.map(round) : at;
  }
  throw new Error(`The spacing ${config.timestep_spacing} is not known here.`);
}

/**
 * What the network's output says about the picture and the noise.
 * @returns {(x: number, out: number) => [number, number]} of one number of x: the picture's, the noise's
 */
function reader(kind, signal, spread) {
  if (kind === "v_prediction") return (x, out) => [single(single(signal * x) - single(spread * out)), single(single(signal * out) + single(spread * x))];
  if (kind === "epsilon") return (x, out) => [single(single(x - single(spread * out)) / signal), out];
  if (kind === "sample") return (x, out) => [out, single(single(x - single(signal * out)) / spread)];
  throw new Error(`The prediction ${kind} is not known here.`);
}

function ddim(config, steps) {
  const bar = signals(config), at = times(config, steps, true);
  const stride = Math.floor(config.num_train_timesteps / steps), clip = config.clip_sample ? config.clip_sample_range : Infinity;
  if (config.thresholding) throw new Error("Thresholding is not known here.");
  return {
    times: at,
    scale: 1,
    input: (x) => x,
    step(x, output, index) {
      const before = at[index] - stride, left = before >= 0 ? bar[before] : config.set_alpha_to_one ? 1 : bar[0];
      const read = reader(config.prediction_type, single(Math.sqrt(bar[at[index]])), single(Math.sqrt(single(1 - bar[at[index]]))));
      const signal = single(Math.sqrt(left)), spread = single(Math.sqrt(single(1 - left)));
      const expected = new Float32Array(x.length), next = new Float32Array(x.length);
      for (let i = 0; i < x.length; i++) {
        const [picture, noise] = read(x[i], output[i]);
        expected[i] = Math.max(-clip, Math.min(clip, picture));
        next[i] = single(signal * expected[i]) + single(spread * noise);
      }
      return {x: next, expected};
    },
  };
}

function euler(config, steps) {
  const bar = signals(config), count = bar.length;
  if (config.rescale_betas_zero_snr) bar[count - 1] = 2 ** -24; // so that the first σ is finite
  const every = bar.map((left) => single(Math.sqrt(single(single(1 - left) / left))));
  const at = times(config, steps, false);
  const sigmas = at.map((time) => {
    const low = Math.floor(time), high = Math.min(low + 1, count - 1);
    return single(every[low] + (time - low) * (every[high] - every[low]));
  });
  const most = Math.max(...sigmas);
  sigmas.push(0);
  const length = (sigma) => single(Math.sqrt(single(single(sigma * sigma) + 1)));
  return {
    times: at,
    scale: config.timestep_spacing === "leading" ? length(most) : most,
    input(x, index) { const by = length(sigmas[index]); return x.map((value) => value / by); },
    step(x, output, index) {
      const sigma = sigmas[index], change = single(sigmas[index + 1] - sigma);
      const more = single(single(sigma * sigma) + 1), by = single(-sigma / length(sigma));
      const expected = new Float32Array(x.length), next = new Float32Array(x.length);
      for (let i = 0; i < x.length; i++) {
        if (config.prediction_type === "v_prediction") expected[i] = single(output[i] * by) + single(x[i] / more);
        else if (config.prediction_type === "epsilon") expected[i] = x[i] - single(sigma * output[i]);
        else expected[i] = output[i];
        next[i] = x[i] + single(single(single(x[i] - expected[i]) / sigma) * change);
      }
      return {x: next, expected};
    },
  };
}

/** The samplers, by the names that the page and its links use. */
export const SAMPLERS = {ddim, euler};

/**
 * @param {keyof SAMPLERS} name
 * @param {object} config a scheduler_config.json
 * @param {number} steps
 * @returns {{times: number[], scale: number, input: Function, step: Function}} the times; what the first noise is
 *   multiplied by; what the network is shown of x; and the step from x and the network's output to the next x and to
 *   the picture that is expected
 */
export function sampler(name, config, steps) {
  if (!(name in SAMPLERS)) throw new Error(`There is no sampler ${name}.`);
  return SAMPLERS[name](config, steps);
}
