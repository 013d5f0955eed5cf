// Starting and ending the programs of the story. Each is known by its process, and none outlives the test.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

const START_MS = 30_000;
const running = new Set();

process.on('exit', () => running.forEach((program) => program.process.kill('SIGKILL')));

/** A port of the loopback interface that nothing listened on a moment ago. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** Starts a program and waits until it has said `greeting`. `said()` is all that it has written since. */
export async function start({ name, command, args, greeting, env = {} }) {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  const program = { process: child, said: () => said };
  let timer;
  try {
    await new Promise((resolve, reject) => {
      const fail = (why) => reject(new Error(`${name} ${why}. It said:\n${said}`));
      const read = (chunk) => {
        said += chunk;
        if (said.includes(greeting)) resolve();
      };
      timer = setTimeout(() => fail(`did not say "${greeting}" within ${START_MS} ms`), START_MS);
      child.stdout.setEncoding('utf8').on('data', read);
      child.stderr.setEncoding('utf8').on('data', read);
      child.on('error', ({ code }) => fail(`could not be started (${code}: ${command})`));
      child.on('spawn', () => running.add(program));
      child.on('exit', (code, signal) => {
        running.delete(program);
        fail(`ended with ${signal ?? code}`);
      });
    });
  } finally {
    clearTimeout(timer);
  }
  return program;
}

/** Kills a program without a warning and waits until it is gone. */
export async function kill({ process: child }) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

export const killAll = () => Promise.all([...running].map(kill));

/** Whether anything takes connections at a port. */
export async function isOpen(port) {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
