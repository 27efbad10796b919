// What the campaigns do to a server and to the connections to it.
import { connect, createServer } from 'node:net';

/** Numbers from 0 to 1, the same for the same seed. */
export function randomOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/**
 * Connections that give a server nothing to serve: a quarter says nothing, a quarter sends half a hello, a quarter sends
 * it byte by byte, a quarter says something else. Who is dropped comes back after a second.
 * @returns stop(), which tells how many were dropped
 */
export function slowPeers(port, count) {
  const hello = Buffer.concat([Buffer.from('BACKPACK-WIRE\n'), Buffer.alloc(114, 1)]);
  const sockets = new Set();
  let dropped = 0;
  let ended = false;
  const attack = (kind) => {
    const socket = connect(port, '127.0.0.1');
    sockets.add(socket);
    let at = 0;
    const drip = () => {
      socket.write(hello.subarray(at, at + 1));
      at += 1;
    };
    const timer = kind === 2 ? setInterval(drip, 1000) : undefined;
    socket.on('connect', () => {
      if (kind === 1) socket.write(hello.subarray(0, 64));
      if (kind === 3) socket.write('GET / HTTP/1.1\r\n');
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      clearInterval(timer);
      sockets.delete(socket);
      if (ended) return;
      dropped += 1;
      setTimeout(() => !ended && attack(kind), 1000);
    });
  };
  for (let i = 0; i < count; i += 1) attack(i % 4);
  return {
    stop: () => {
      ended = true;
      for (const socket of sockets) socket.destroy();
      return dropped;
    },
  };
}

/** A proxy that cuts each connection after a number of bytes in one direction. @param draw tells both */
export async function cuttingProxy(port, draw) {
  let cuts = 0;
  const server = createServer((client) => {
    const upstream = connect(port, '127.0.0.1');
    const { bytes, fromServer } = draw();
    let passed = 0;
    const end = () => {
      client.destroy();
      upstream.destroy();
    };
    const pass = (from, to, counted) => {
      from.on('error', end).on('close', end);
      from.on('data', (chunk) => {
        const allowed = counted ? Math.max(0, bytes - passed) : chunk.length;
        if (counted) passed += chunk.length;
        if (allowed > 0) to.write(chunk.subarray(0, allowed));
        if (allowed < chunk.length) {
          cuts += 1;
          // What is allowed arrives before the end does.
          to.end(end);
        }
      });
    };
    pass(client, upstream, !fromServer);
    pass(upstream, client, fromServer);
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  return { port: server.address().port, cuts: () => cuts, close: () => server.close() };
}
