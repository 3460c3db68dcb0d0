package release

import (
	"archive/tar"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"path"
	"time"
)

// File is one entry of an archive or of an image's root.
type File struct {
	Path     string // relative, with slashes
	Mode     fs.FileMode
	UID, GID int
	Link     string // target of a symbolic link; "" for others
	Content  []byte // of a regular file
}

// epoch is the time of every entry. Its zero in tar is 1970, which everything can read.
func epoch() time.Time { return time.Unix(0, 0).UTC() }

// writeTar writes entries in the order given.
func writeTar(w io.Writer, files []File) error {
	archive := tar.NewWriter(w)
	for _, f := range files {
		header := &tar.Header{
			Name: f.Path, Mode: int64(f.Mode.Perm()), Uid: f.UID, Gid: f.GID, ModTime: epoch(),
			Typeflag: tar.TypeReg, Size: int64(len(f.Content)), Format: tar.FormatUSTAR,
		}
		switch {
		case f.Mode.IsDir():
			header.Typeflag, header.Name = tar.TypeDir, path.Clean(f.Path)+"/"
		case f.Link != "":
			header.Typeflag, header.Linkname = tar.TypeSymlink, f.Link
		}
		if err := archive.WriteHeader(header); err != nil {
			return fmt.Errorf("write header of %s: %w", f.Path, err)
		}
		if _, err := archive.Write(f.Content); err != nil {
			return fmt.Errorf("write %s: %w", f.Path, err)
		}
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("end archive: %w", err)
	}
	return nil
}

// WriteArchive writes a compressed tarball of files, in the order given.
func WriteArchive(w io.Writer, files []File) error {
	compressed, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return fmt.Errorf("compress archive: %w", err)
	}
	if err := writeTar(compressed, files); err != nil {
		return err
	}
	if err := compressed.Close(); err != nil {
		return fmt.Errorf("compress archive: %w", err)
	}
	return nil
}
