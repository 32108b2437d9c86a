// Every record as it came.
export const handler = async (event) => ({
  records: event.records.map(({ recordId, data }) => ({ recordId, result: 'Ok', data })),
});
