package boltfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// The layout of a BoltDB file (bbolt, internal/common: page.go, meta.go,
// bucket.go), the same in every release since 1.3.6.
const (
	boltMagic   = 0xED0CDAED
	boltVersion = 2

	pageHeader   = 16 // id, flags, count, overflow; also the size of an element and of a bucket's header
	metaLen      = 64
	branchPage   = 0x01
	leafPage     = 0x02
	freelistPage = 0x10
	bucketEntry  = 0x01
	maxKeySize   = 32 << 10
	noFreelist   = ^uint64(0)     // the freelist is not kept in the file
	longFreelist = 0xFFFF         // its length is in its first element
	smallestPage = 1 << 10        // bbolt looks for the second meta page from here
	largestPage  = 1 << (10 + 14) // to here
)

var native = binary.NativeEndian

var errNoMeta = errors.New("both meta pages are invalid")

// boltMeta is one of the two meta pages.
type boltMeta struct {
	pageSize, root, freelist, pages, txid uint64
	valid                                 bool
}

// readMeta reads the meta page that begins at offset. It may be invalid.
func readMeta(file io.ReaderAt, offset int64) (boltMeta, error) {
	var buf [pageHeader + metaLen]byte
	if _, err := file.ReadAt(buf[:], offset); err != nil {
		return boltMeta{}, err
	}
	b := buf[pageHeader:]
	sum := fnv.New64a()
	sum.Write(b[:56])
	return boltMeta{
		pageSize: uint64(native.Uint32(b[8:])),
		root:     native.Uint64(b[16:]),
		freelist: native.Uint64(b[32:]),
		pages:    native.Uint64(b[40:]),
		txid:     native.Uint64(b[48:]),
		valid: native.Uint32(b) == boltMagic && native.Uint32(b[4:]) == boltVersion &&
			native.Uint64(b[56:]) == sum.Sum64(),
	}, nil
}

// newestMeta is the meta page that bbolt goes by. One of the two may be torn:
// that is what a crash in the middle of a commit leaves. Where it is the
// first, bbolt looks for the second at every size that a page can have.
func newestMeta(file io.ReaderAt) (boltMeta, error) {
	m, err := readMeta(file, 0)
	if err != nil {
		return m, err
	}
	for at := int64(smallestPage); !m.valid && at <= largestPage; at *= 2 {
		if m, err = readMeta(file, at); err != nil {
			return m, errNoMeta
		}
		if m.valid && m.pageSize != uint64(at) {
			return m, errNoMeta
		}
	}
	size := m.pageSize
	if !m.valid || size < smallestPage || size > largestPage || size&(size-1) != 0 {
		return m, errNoMeta
	}
	second, err := readMeta(file, int64(size))
	if err != nil || second.valid && second.pageSize != size {
		return m, errNoMeta
	}
	if second.valid && second.txid > m.txid {
		m = second
	}
	return m, nil
}

// A walk follows every reference in a BoltDB file once and checks all that
// bbolt's own Check does, and more, on bytes that were read and inside of their bounds.
// Check, and Open too, follow what the mapped file says: on a damaged one they
// fault in a goroutine of bbolt's, where nothing can catch it.
type walk struct {
	file io.ReaderAt
	meta boltMeta
	use  []pageUse
}

type pageUse uint8

const (
	unused pageUse = iota
	freed
	inUse
)

// Check returns what is wrong with a BoltDB file of that many bytes. It
// names pages, never contents.
func Check(file io.ReaderAt, size int64) error {
	m, err := newestMeta(file)
	if err != nil {
		return err
	}
	if m.pages < 4 || m.pages > uint64(size)/m.pageSize {
		return fmt.Errorf("it has %d bytes and should have %d pages of %d", size, m.pages, m.pageSize)
	}
	w := walk{file: file, meta: m, use: make([]pageUse, m.pages)}
	w.use[0], w.use[1] = inUse, inUse
	if m.freelist != noFreelist {
		if err := w.freelist(); err != nil {
			return err
		}
	}
	if err := w.tree(m.root, nil, nil); err != nil {
		return err
	}
	for id, use := range w.use {
		if use == unused && m.freelist != noFreelist {
			return fmt.Errorf("page %d is neither used nor free", id)
		}
	}
	return nil
}

// page reads a page with its overflow and marks it as in use.
func (w *walk) page(id uint64) ([]byte, error) {
	if id < 2 || id >= w.meta.pages {
		return nil, fmt.Errorf("page %d does not exist", id)
	}
	page := make([]byte, w.meta.pageSize)
	if _, err := w.file.ReadAt(page, int64(id*w.meta.pageSize)); err != nil {
		return nil, fmt.Errorf("page %d: %w", id, err)
	}
	overflow := uint64(native.Uint32(page[12:]))
	if native.Uint64(page) != id || overflow >= w.meta.pages-id {
		return nil, fmt.Errorf("page %d has a wrong header", id)
	}
	for i := id; i <= id+overflow; i++ {
		if w.use[i] != unused {
			return nil, fmt.Errorf("page %d is used twice, or is free and used", i)
		}
		w.use[i] = inUse
	}
	if overflow == 0 {
		return page, nil
	}
	page = make([]byte, (1+overflow)*w.meta.pageSize)
	if _, err := w.file.ReadAt(page, int64(id*w.meta.pageSize)); err != nil {
		return nil, fmt.Errorf("page %d: %w", id, err)
	}
	return page, nil
}

func (w *walk) freelist() error {
	page, err := w.page(w.meta.freelist)
	if err != nil {
		return err
	}
	ids, n := page[pageHeader:], uint64(native.Uint16(page[10:]))
	if n == longFreelist {
		n, ids = native.Uint64(ids), ids[8:]
	}
	if native.Uint16(page[8:]) != freelistPage || n > uint64(len(ids))/8 {
		return fmt.Errorf("page %d is not a list of free pages", w.meta.freelist)
	}
	for ; n > 0; n, ids = n-1, ids[8:] {
		id := native.Uint64(ids)
		if id < 2 || id >= w.meta.pages || w.use[id] != unused {
			return fmt.Errorf("page %d cannot be free", id)
		}
		w.use[id] = freed
	}
	return nil
}

// tree checks the page and all below it. Its first key is the one that the
// page above has for it, nil at the root, and its last one is below high, nil
// for no limit. bbolt's Check lets the first be greater; the next commit would
// then leave the page in the tree and free it.
func (w *walk) tree(id uint64, first, high []byte) error {
	page, err := w.page(id)
	if err != nil {
		return err
	}
	elements, err := readElements(page)
	if err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	n, leaf := len(elements), native.Uint16(page[8:]) == leafPage
	switch {
	case n == 0 && (first != nil || !leaf):
		return fmt.Errorf("page %d is empty", id)
	case first != nil && !bytes.Equal(elements[0].key, first),
		high != nil && bytes.Compare(elements[n-1].key, high) >= 0:
		return fmt.Errorf("page %d has keys that belong elsewhere", id)
	case leaf:
		return w.buckets(id, elements)
	}
	for i, e := range elements {
		below := high
		if i+1 < n {
			below = elements[i+1].key
		}
		if err := w.tree(e.child, e.key, below); err != nil {
			return err
		}
	}
	return nil
}

// buckets checks the buckets among the elements of a leaf.
func (w *walk) buckets(id uint64, elements []element) error {
	for _, e := range elements {
		if !e.bucket {
			continue
		}
		if len(e.value) < pageHeader {
			return fmt.Errorf("page %d: a bucket is cut off", id)
		}
		root, inline := native.Uint64(e.value), e.value[pageHeader:]
		if root != 0 {
			if err := w.tree(root, nil, nil); err != nil {
				return err
			}
			continue
		}
		if len(inline) < pageHeader || native.Uint16(inline[8:]) != leafPage {
			return fmt.Errorf("page %d: a bucket inside of it is not a leaf", id)
		}
		within, err := readElements(inline)
		if err == nil {
			err = w.buckets(id, within)
		}
		if err != nil {
			return fmt.Errorf("page %d: a bucket inside of it: %w", id, err)
		}
	}
	return nil
}

// element is one entry of a branch (child) or a leaf (value, bucket).
type element struct {
	key, value []byte
	child      uint64
	bucket     bool
}

// readElements reads the entries of a branch or leaf and checks that they are
// where they can be and in order.
func readElements(page []byte) ([]element, error) {
	kind, n := native.Uint16(page[8:]), uint64(native.Uint16(page[10:]))
	first := pageHeader * (1 + n)
	if kind != branchPage && kind != leafPage || first > uint64(len(page)) {
		return nil, errors.New("neither a branch nor a leaf")
	}
	elements := make([]element, n)
	for i := range elements {
		at := pageHeader * uint64(1+i)
		raw, e := page[at:at+pageHeader], &elements[i]
		var pos, keySize, valueSize uint64
		if kind == branchPage {
			pos, keySize = uint64(native.Uint32(raw)), uint64(native.Uint32(raw[4:]))
			e.child = native.Uint64(raw[8:])
		} else {
			flags := native.Uint32(raw)
			pos, keySize = uint64(native.Uint32(raw[4:])), uint64(native.Uint32(raw[8:]))
			valueSize = uint64(native.Uint32(raw[12:]))
			if e.bucket = flags == bucketEntry; !e.bucket && flags != 0 {
				return nil, fmt.Errorf("entry %d is of no known kind", i)
			}
		}
		start, end := at+pos, at+pos+keySize+valueSize
		if start < first || end > uint64(len(page)) || keySize == 0 || keySize > maxKeySize {
			return nil, fmt.Errorf("entry %d is out of bounds", i)
		}
		e.key, e.value = page[start:start+keySize], page[start+keySize:end]
		if i > 0 && bytes.Compare(elements[i-1].key, e.key) >= 0 {
			return nil, fmt.Errorf("entry %d is out of order", i)
		}
	}
	return elements, nil
}
