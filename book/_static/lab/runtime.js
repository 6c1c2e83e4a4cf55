// onnxruntime-web, on one thread: several need headers that hosts of plain files do not send.
import {LabError, unpacked} from "./store.js";

let starting;

/** @returns {Promise<object>} the runtime, started once a page */
export function runtime(files) {
  starting ??= start(files).catch((error) => { starting = undefined; throw error; });
  return starting;
}

async function start(files) {
  if (typeof WebAssembly !== "object") throw new LabError("unsupported", "This browser runs no WebAssembly, which the model needs.");
  // From a copy in memory, so that a later visit needs no network for it, either.
  const code = URL.createObjectURL(new Blob([files.take("runtime.mjs")], {type: "text/javascript"}));
  const ort = await import(code).finally(() => URL.revokeObjectURL(code));
  ort.env.logLevel = "error";
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.proxy = false;
  const wasm = await unpacked(files.take("runtime.wasm"));
  ort.env.wasm.wasmBinary = wasm.buffer;
  return ort;
}

/**
 * A network: its graph, and the safetensors file in which its weights lie.
 * @returns {Promise<(inputs: Object<string, {type?: string, data: any, shape: number[]}>) => Promise<Object<string, Float32Array>>>}
 */
export async function network(files, graph, weights) {
  const ort = await runtime(files);
  let session;
  try {
    session = await ort.InferenceSession.create(files.take(graph), {
      executionProviders: ["wasm"],
      graphOptimizationLevel: "all",
      externalData: [{path: "weights", data: files.take(weights)}],
    });
  } catch (error) {
    if (/memory|alloc/i.test(String(error))) throw new LabError("memory", "There is not enough memory here for the model: close other pages, and try again.");
    throw error;
  }
  return async (inputs) => {
    const feeds = {};
    for (const [name, {type = "float32", data, shape}] of Object.entries(inputs)) feeds[name] = new ort.Tensor(type, data, shape);
    const results = await session.run(feeds);
    return Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, tensor.data]));
  };
}
