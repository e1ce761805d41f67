// Preloaded into a script whose memory is to be known: on SIGUSR2 it collects its garbage and says what is left.
import v8 from 'node:v8'
import vm from 'node:vm'

v8.setFlagsFromString('--expose-gc')
const collectGarbage = vm.runInNewContext('gc')

process.on('SIGUSR2', () => {
  collectGarbage()
  collectGarbage()
  console.error(`heap: ${process.memoryUsage().heapUsed} bytes`)
})
