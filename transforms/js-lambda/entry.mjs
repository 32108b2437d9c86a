// The component: the adapter round one handler, which is evaluated at the first call, when clock, seed and variables
// are those of the call, as at the cold start of a Lambda.
import './globals.mjs';
import './node/zlib.mjs'; // its tables are made when the component is built
import { serve } from './adapter.mjs';

export const packed = { transform: serve(() => import('handler'), HANDLER_EXPORT) };
