// Preloaded into a script whose work is to be known: on SIGCONT it says how much CPU time it has taken so far.
process.on('SIGCONT', () => {
  const { user, system } = process.cpuUsage()
  console.error(`cpu: ${user + system} microseconds`)
})
