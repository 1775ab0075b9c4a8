#include "core/provider.h"

#include "core/error.h"

namespace lgms {

bool supported(Provider provider) noexcept {
#if LGMS_HAVE_ONEDNN
  return provider == Provider::own || provider == Provider::onednn;
#else
  return provider == Provider::own;
#endif
}

Provider provider_from_name(std::string_view name) {
  for (const Provider provider : {Provider::own, Provider::onednn})
    if (name == name_of(provider)) return provider;
  fail(ErrorKind::usage, "[provider] expected own or onednn, got '", name, "'");
}

}  // namespace lgms
