// The zstd encoder of github.com/klauspost/compress, from stdin to stdout, for tests/compressors.rs. Debian has its
// source: GO111MODULE=off GOPATH=/usr/share/gocode go build. Flags choose options; -flush N flushes after every N bytes.
package main

import (
	"flag"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	level := flag.Int("level", 2, "1 fastest, 2 default, 3 better, 4 best")
	window := flag.Int("window", 0, "window in bytes, a power of two; 0: as the level has it")
	flush := flag.Int("flush", 0, "flush after so many bytes; 0: never")
	crc := flag.Bool("crc", true, "write a checksum")
	literals := flag.Bool("all-literals", false, "entropy-compress literals always")
	noEntropy := flag.Bool("no-entropy", false, "never entropy-compress literals")
	single := flag.Bool("single", false, "single segment; whole input in one call, the content size is written")
	workers := flag.Int("workers", 1, "goroutines")
	padding := flag.Int("padding", 1, "pad to a multiple with a skippable frame")
	flag.Parse()

	options := []zstd.EOption{
		zstd.WithEncoderLevel(zstd.EncoderLevel(*level)),
		zstd.WithEncoderCRC(*crc),
		zstd.WithEncoderConcurrency(*workers),
		zstd.WithEncoderPadding(*padding),
		zstd.WithZeroFrames(true),
	}
	if *window != 0 {
		options = append(options, zstd.WithWindowSize(*window))
	}
	if *literals {
		options = append(options, zstd.WithAllLitEntropyCompression(true))
	}
	if *noEntropy {
		options = append(options, zstd.WithNoEntropyCompression(true))
	}
	if *single {
		options = append(options, zstd.WithSingleSegment(true))
	}
	input, err := io.ReadAll(os.Stdin)
	check(err)
	encoder, err := zstd.NewWriter(os.Stdout, options...)
	check(err)
	if *single {
		_, err = os.Stdout.Write(encoder.EncodeAll(input, nil))
		check(err)
		return
	}
	step := *flush
	if step == 0 {
		step = len(input)
	}
	for len(input) > 0 {
		if step > len(input) {
			step = len(input)
		}
		_, err = encoder.Write(input[:step])
		check(err)
		input = input[step:]
		if *flush != 0 {
			check(encoder.Flush())
		}
	}
	check(encoder.Close())
}
