// Runs requests on a SavedModel with the loader that TensorFlow Serving uses, in a process without Python.
//
//   serve [--threads N] [--repeat N] MODEL_DIR REQUEST_DIR...
//
// A request folder holds `signature`, the signature's name, and in `inputs/` a serialized TensorProto for each input, in
// a file of its name. The answer goes into the same folder: the outputs to `outputs/` in the same way, and the median
// time of a run to `milliseconds`; or, if the request fails, the error's text to `error`.
//
// A request is run once by itself, which is its answer and is not timed, then `--repeat` times in each of `--threads`
// threads at once. It fails if a single bit of those answers differs from the first.

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "tensorflow/cc/saved_model/loader.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/framework/tensor.pb.h"
#include "tensorflow/core/public/session.h"

namespace fs = std::filesystem;
using absl::Status;
using tensorflow::Tensor;

struct Request {
  std::vector<std::pair<std::string, Tensor>> feeds;
  std::vector<std::string> fetches, output_names;
};

std::string ReadFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void WriteFile(const fs::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

Status ReadRequest(const tensorflow::SavedModelBundle& bundle, const fs::path& folder, Request* request) {
  const std::string name = ReadFile(folder / "signature");
  const auto& signatures = bundle.GetSignatures();
  const auto found = signatures.find(name);
  if (found == signatures.end()) return absl::NotFoundError("no signature " + name);
  const auto& signature = found->second;
  for (const auto& file : fs::directory_iterator(folder / "inputs")) {
    const std::string input = file.path().filename();
    const auto info = signature.inputs().find(input);
    if (info == signature.inputs().end()) return absl::InvalidArgumentError(name + " has no input " + input);
    tensorflow::TensorProto proto;
    Tensor tensor;
    if (!proto.ParseFromString(ReadFile(file.path())) || !tensor.FromProto(proto))
      return absl::DataLossError("not a TensorProto: " + file.path().string());
    if (tensor.dtype() != info->second.dtype())
      return absl::InvalidArgumentError(input + " has the dtype " + DataTypeString(tensor.dtype()));
    request->feeds.emplace_back(info->second.name(), tensor);
  }
  for (const auto& [input, info] : signature.inputs())
    if (!fs::exists(folder / "inputs" / input)) return absl::InvalidArgumentError(input + " is missing");
  for (const auto& [output, info] : signature.outputs()) {
    request->output_names.push_back(output);
    request->fetches.push_back(info.name());
  }
  return absl::OkStatus();
}

bool SameBits(const std::vector<Tensor>& left, const std::vector<Tensor>& right) {
  for (size_t i = 0; i < left.size(); ++i)
    if (left[i].shape() != right[i].shape() || left[i].tensor_data() != right[i].tensor_data()) return false;
  return left.size() == right.size();
}

// Runs the request `repeat` times in each thread. The times go to `milliseconds`.
Status RunInThreads(tensorflow::Session* session, const Request& request, const std::vector<Tensor>& answer,
                    int threads, int repeat, std::vector<double>* milliseconds) {
  std::mutex mutex;
  Status status = absl::OkStatus();
  auto work = [&] {
    for (int run = 0; run < repeat; ++run) {
      std::vector<Tensor> outputs;
      const auto start = std::chrono::steady_clock::now();
      Status result = session->Run(request.feeds, request.fetches, {}, &outputs);
      const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
      if (result.ok() && !SameBits(outputs, answer))
        result = absl::InternalError("answers differ between runs of one request");
      const std::lock_guard<std::mutex> lock(mutex);
      milliseconds->push_back(time.count());
      if (!result.ok()) status = result;
    }
  };
  std::vector<std::thread> pool;
  for (int thread = 0; thread < threads; ++thread) pool.emplace_back(work);
  for (auto& thread : pool) thread.join();
  return status;
}

Status Answer(const tensorflow::SavedModelBundle& bundle, const fs::path& folder, int threads, int repeat) {
  Request request;
  Status status = ReadRequest(bundle, folder, &request);
  if (!status.ok()) return status;
  std::vector<Tensor> outputs;
  status = bundle.GetSession()->Run(request.feeds, request.fetches, {}, &outputs);
  if (!status.ok()) return status;
  std::vector<double> milliseconds;
  status = RunInThreads(bundle.GetSession(), request, outputs, threads, repeat, &milliseconds);
  if (!status.ok()) return status;

  fs::create_directory(folder / "outputs");
  for (size_t i = 0; i < outputs.size(); ++i) {
    tensorflow::TensorProto proto;
    outputs[i].AsProtoTensorContent(&proto);
    WriteFile(folder / "outputs" / request.output_names[i], proto.SerializeAsString());
  }
  std::nth_element(milliseconds.begin(), milliseconds.begin() + milliseconds.size() / 2, milliseconds.end());
  WriteFile(folder / "milliseconds", std::to_string(milliseconds[milliseconds.size() / 2]));
  return status;
}

int main(int argc, char** argv) {
  int threads = 1, repeat = 1;
  std::vector<std::string> folders;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if ((argument == "--threads" || argument == "--repeat") && i + 1 < argc)
      (argument == "--threads" ? threads : repeat) = std::max(1, std::atoi(argv[++i]));
    else
      folders.push_back(argument);
  }
  if (folders.size() < 2) {
    std::cerr << "usage: serve [--threads N] [--repeat N] MODEL_DIR REQUEST_DIR...\n";
    return 2;
  }
  tensorflow::SavedModelBundle bundle;
  const Status loaded = tensorflow::LoadSavedModel({}, {}, folders[0], {"serve"}, &bundle);
  if (!loaded.ok()) {
    std::cerr << loaded.ToString() << "\n";
    return 1;
  }
  for (size_t i = 1; i < folders.size(); ++i) {
    const Status status = Answer(bundle, folders[i], threads, repeat);
    if (!status.ok()) WriteFile(fs::path(folders[i]) / "error", status.ToString());
  }
  return 0;
}
