// Node's `process`, of the call.
import { write } from './console.mjs';

const env = {};
const nothing = () => process;

const process = {
  env,
  argv: ['node', 'handler'],
  execArgv: [],
  pid: 1,
  ppid: 0,
  title: 'node',
  platform: 'linux',
  arch: 'wasm32',
  release: { name: 'node' },
  // What handlers compare with is the runtime of Lambda, not the engine here.
  version: 'v20.0.0',
  versions: { node: '20.0.0' },
  exitCode: undefined,
  stdout: { isTTY: false, write: (text) => (write('info', String(text).replace(/\n$/, '')), true) },
  stderr: { isTTY: false, write: (text) => (write('error', String(text).replace(/\n$/, '')), true) },
  cwd: () => '/var/task',
  nextTick: (callback, ...values) => queueMicrotask(() => callback(...values)),
  hrtime: Object.assign(() => [0, 0], { bigint: () => 0n }),
  uptime: () => 0,
  memoryUsage: () => ({ rss: 0, heapTotal: 0, heapUsed: 0, external: 0, arrayBuffers: 0 }),
  cpuUsage: () => ({ user: 0, system: 0 }),
  emitWarning: (warning) => write('warn', String(warning)),
  exit(code = 0) {
    throw new Error(`the handler called process.exit(${code})`);
  },
  on: nothing, once: nothing, off: nothing, addListener: nothing, removeListener: nothing, removeAllListeners: nothing,
  emit: () => false,
  listeners: () => [],
  listenerCount: () => 0,
};
export default process;

/** What Lambda itself sets, then the variables of the stream. */
export function setEnvironment({ functionArn, memoryLimitBytes, region, variables }) {
  const [name, version = '$LATEST'] = functionArn.split(':').slice(6);
  Object.assign(env, {
    AWS_REGION: region,
    AWS_DEFAULT_REGION: region,
    AWS_LAMBDA_FUNCTION_NAME: name,
    AWS_LAMBDA_FUNCTION_VERSION: version,
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(memoryLimitBytes / 1048576n),
    AWS_LAMBDA_LOG_GROUP_NAME: `/aws/lambda/${name}`,
    LAMBDA_TASK_ROOT: '/var/task',
    TZ: ':UTC',
    ...Object.fromEntries(variables),
  });
}
