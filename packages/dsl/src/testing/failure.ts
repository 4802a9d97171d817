/** An expectation of a test that does not hold. An ordinary error, so that every test runner reports it. */
export class TestFailure extends Error {
  override readonly name = "TestFailure";
}
