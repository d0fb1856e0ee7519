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

async function open(name, gpu) {
  if (ort === null) {
    await load(gpu);
  }
  if (opened !== name) {
    await session?.release();
    session = await ort.InferenceSession.create(new URL(name, import.meta.url).href, {
      executionProviders: [gpu ? "webgpu" : "wasm"],
      logSeverityLevel: 3, // errors; not which nodes stay on the processor
    });
    opened = name;
  }
}

// The pixels are RGBA bytes, and those of the answer too.
async function enlarge(data, width, height) {
  const count = width * height;
  const input = new Float32Array(3 * count);
  for (let c = 0; c < 3; c += 1) {
    for (let i = 0; i < count; i += 1) {
      input[c * count + i] = data[4 * i + c] / 255;
    }
  }
  const tensor = new ort.Tensor("float32", input, [1, 3, height, width]);
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

self.onmessage = async (event) => {
  const { model, gpu, data, width, height } = event.data;
  try {
    await open(model, gpu);
    const made = await enlarge(data, width, height);
    self.postMessage(made, [made.output.buffer]);
  } catch (error) {
    self.postMessage({ error: String(error.message || error) });
  }
};
