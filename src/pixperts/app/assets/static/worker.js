// Enlarges one tile after the other, beside the page. There are several of these workers, with one
// thread each: tiles do not wait for one another, and no shared memory is needed, which browsers
// allow to pages with certain headers only.

let ort = null;
let session = null;
let opened = "";

// The part of onnxruntime-web that runs on a GPU is larger, and loaded only where it is used.
async function load(gpu) {
  const name = gpu ? "ort.webgpu.bundle.min.mjs" : "ort.wasm.bundle.min.mjs";
  const wasm = gpu ? "ort-wasm-simd-threaded.asyncify.wasm" : "ort-wasm-simd-threaded.wasm";
  ort = await import(`./ort/${name}`);
  ort.env.wasm.wasmPaths = { wasm: new URL(`./ort/${wasm}`, import.meta.url).href };
  ort.env.wasm.numThreads = 1;
}

async function open(name, provider) {
  if (opened !== name) {
    await session?.release();
    session = await ort.InferenceSession.create(new URL(name, import.meta.url).href, {
      executionProviders: [provider],
      logSeverityLevel: 3, // errors; not which nodes stay on the processor
    });
    opened = name;
  }
}

// RGBA bytes of one or more pictures of equal size, one below the other.
function tensorOf(data, width, height) {
  const count = width * height;
  const pictures = data.length / (4 * count);
  const input = new Float32Array(3 * count * pictures);
  for (let n = 0; n < pictures; n += 1) {
    for (let c = 0; c < 3; c += 1) {
      const [to, from] = [(3 * n + c) * count, 4 * n * count + c];
      for (let i = 0; i < count; i += 1) {
        input[to + i] = data[from + 4 * i] / 255;
      }
    }
  }
  return new ort.Tensor("float32", input, [pictures, 3, height, width]);
}

// The pixels of the answer are RGBA bytes, too.
async function enlarge(data, width, height) {
  const tensor = tensorOf(data, width, height);
  const { enlarged } = await session.run({ image: tensor });
  const values = enlarged.data;
  const [, , newHeight, newWidth] = enlarged.dims;
  const size = newWidth * newHeight;
  const output = new Uint8ClampedArray(4 * size).fill(255); // it rounds to the nearest
  for (let c = 0; c < 3; c += 1) {
    for (let i = 0; i < size; i += 1) {
      output[4 * i + c] = 255 * values[c * size + i];
    }
  }
  enlarged.dispose();
  return { output, width: newWidth, height: newHeight };
}

// Estimated squared errors of each network, summed over pieces.
async function judgePieces(data, width, height, scale) {
  const image = tensorOf(data, width, height);
  const factors = new Float32Array(2 * image.dims[0]).fill(scale);
  const given = new ort.Tensor("float32", factors, [image.dims[0], 2]);
  const { logarithms } = await session.run({ image, factors: given });
  const errors = [0, 0];
  logarithms.data.forEach((value, place) => { errors[place % 2] += Math.exp(Math.min(0, value)); });
  return errors;
}

self.onmessage = async (event) => {
  const { model, judge, scale, gpu, data, width, height } = event.data;
  try {
    if (ort === null) {
      await load(gpu);
    }
    if (judge) {
      await open(judge, "wasm"); // a moment's work
      self.postMessage({ errors: await judgePieces(data, width, height, scale) });
      return;
    }
    await open(model, gpu ? "webgpu" : "wasm");
    const made = await enlarge(data, width, height);
    self.postMessage(made, [made.output.buffer]);
  } catch (error) {
    self.postMessage({ error: String(error.message || error) });
  }
};
