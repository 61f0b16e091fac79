// Perfetto's trace processor, the WebAssembly of its web page, served on a socket.
//
//   node trace_processor.js FOLDER SOCKET
//
// FOLDER holds engine_bundle.js and the .wasm files of a build of ui.perfetto.dev. The
// bundle expects a web worker: it gets the few names of one that it asks for, and a
// message port whose two ends are the socket. It prints "ready" when it listens.
"use strict";
const fs = require("fs");
const net = require("net");
const path = require("path");
const vm = require("vm");

const [folder, socketPath] = process.argv.slice(2);

class LocalRequest {
  open(_, url) {
    this.url = url;
  }
  send() {
    this.status = 200;
    this.response = new Uint8Array(
      fs.readFileSync(path.join(folder, path.basename(this.url))),
    ).buffer;
  }
}

const quiet = { log() {}, warn() {}, error: console.error };
const worker = vm.createContext({
  URL, TextDecoder, TextEncoder, performance, crypto, setTimeout,
  console: quiet,
  location: { href: "http://localhost/" },
  WorkerGlobalScope: class {},
  XMLHttpRequest: LocalRequest,
});
worker.self = worker;

let client = null;
const port = { onmessage: null, postMessage: (data) => client.write(Buffer.from(data)) };
vm.runInContext(fs.readFileSync(path.join(folder, "engine_bundle.js"), "utf8"), worker);
worker.onmessage({ data: port });

const bytes = vm.runInContext("Uint8Array", worker);
const server = net.createServer((socket) => {
  client = socket;
  socket.on("data", (data) => port.onmessage({ data: bytes.from(data) }));
});
setImmediate(() => server.listen(socketPath, () => console.log("ready")));
