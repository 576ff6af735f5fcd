package policy

// Transport is how ingest comes by the messages of a source that does not send them by
// HTTP: at most one of its fields is set.
type Transport struct {
	Files *Files `yaml:"files"`
	SFTP  *SFTP  `yaml:"sftp"`
	SQL   *SQL   `yaml:"sql"`
	Pull  *Pull  `yaml:"pull"`
}

// Is says whether ingest fetches the messages of the source.
func (t *Transport) Is() bool {
	return t.Files != nil || t.SFTP != nil || t.SQL != nil || t.Pull != nil
}

// Knocks says whether the source may send by HTTP: one that ingest fetches from, and that
// has no key and no signature, may not.
func (s *Source) Knocks() bool {
	a := &s.Auth
	return !s.Transport.Is() || len(a.APIKeys) > 0 || a.APIKeyEnv != "" || a.Access || a.signed()
}

func (t *Transport) validate() []error {
	var fs faults
	n := 0
	for _, is := range []bool{t.Files != nil, t.SFTP != nil, t.SQL != nil, t.Pull != nil} {
		if is {
			n++
		}
	}
	if n > 1 {
		fs.add(CodeConflicting, "transport", "at most one of files, sftp, sql and pull")
	}
	if t.Files != nil {
		t.Files.validate("transport.files", &fs)
	}
	if t.SFTP != nil {
		t.SFTP.validate("transport.sftp", &fs)
	}
	var errs []error = fs
	if t.SQL != nil {
		errs = append(errs, t.SQL.validate("transport.sql")...)
	}
	if t.Pull != nil {
		errs = append(errs, t.Pull.validate("transport.pull")...)
	}
	return errs
}
