/** The tutorial's two pairs of scripts, and how to read a client's letters from what it prints. */
export const pairs = [
  {
    client: 'src/streaming-client1.ts',
    shop: 'src/shop-from-before.ts',
    lettersIn: (output: string): string[] => output.match(/(?<=^Your letter: )[A-Z]$/gm) ?? []
  },
  {
    client: 'src/streaming-client2.ts',
    shop: 'src/streaming-shop.ts',
    lettersIn: (output: string): string[] =>
      output
        .match(/^[.A-Z]+$/gm)
        ?.join('')
        .match(/[A-Z]/g) ?? []
  }
]
