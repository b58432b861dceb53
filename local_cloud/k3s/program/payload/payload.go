// Package payload carries kine inside the k3s executable, so that a release is one file, as K3s's own is.
//
// The file is: the program, kine's executable, kine's length (8 bytes, big endian), and `magic`.
// local_cloud/k3s/releases.py writes it so.
package payload

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

const (
	magic       = "k3s+kine"
	trailerSize = 8 + len(magic)
	hashChars   = 16
)

// Kine unpacks kine below `dataDir`/data/<hash>/bin, as K3s unpacks its own programs, and returns its path.
func Kine(executable, dataDir string) (string, error) {
	file, err := os.Open(executable)
	if err != nil {
		return "", err
	}
	defer file.Close()
	content, err := section(file)
	if err != nil {
		return "", fmt.Errorf("%s: %w", executable, err)
	}
	digest := sha256.New()
	if _, err := io.Copy(digest, content); err != nil {
		return "", err
	}
	path := filepath.Join(dataDir, "data", hex.EncodeToString(digest.Sum(nil))[:hashChars], "bin", "kine")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if _, err := content.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	draft, err := os.CreateTemp(filepath.Dir(path), ".kine-")
	if err != nil {
		return "", err
	}
	defer os.Remove(draft.Name())
	_, err = io.Copy(draft, content)
	if err := errors.Join(err, draft.Chmod(0o755), draft.Close()); err != nil {
		return "", err
	}
	return path, os.Rename(draft.Name(), path)
}

func section(file *os.File) (*io.SectionReader, error) {
	size, err := file.Seek(-int64(trailerSize), io.SeekEnd)
	if err != nil {
		return nil, err
	}
	trailer := make([]byte, trailerSize)
	if _, err := io.ReadFull(file, trailer); err != nil {
		return nil, err
	}
	length := int64(binary.BigEndian.Uint64(trailer))
	if string(trailer[8:]) != magic || length <= 0 || length > size {
		return nil, errors.New("kine is missing: build k3s with local_cloud/k3s/releases.py")
	}
	return io.NewSectionReader(file, size-length, length), nil
}
